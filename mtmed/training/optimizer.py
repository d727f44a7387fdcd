"""AdamW over what a site's labels reach, and its moments as tensors that can be kept from round to round."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtmed.models.multitask import MultiTask
from mtmed.specs import TrainingSpec
from mtmed.types import Study

Moments = dict[str, Tensor]  # {"<parameter>/<quantity>": value}


def build(model: MultiTask, studies: Sequence[Study], spec: TrainingSpec) -> torch.optim.Optimizer:
    """Decay on matrices only, and not on the predictors' class rows; heads without a label and what is frozen are left
    out."""
    labelled = {head for s in studies for head, known in s.labelled.items() if known.any()}
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        if not parameter.requires_grad or (parts[0] == "heads" and parts[1] not in labelled):
            continue
        matrix = parameter.ndim > 1 and "predictor" not in name and "cls_logits" not in name
        (matrices if matrix else rest).append(parameter)
    groups = [{"params": matrices, "weight_decay": spec.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=spec.learning_rate, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """The learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = value


def moments(optimizer: torch.optim.Optimizer, model: MultiTask) -> Moments:
    """Step counts and moving averages by parameter, on the processor."""
    return {
        f"{name}/{key}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore(optimizer: torch.optim.Optimizer, model: MultiTask, kept: Mapping[str, Tensor]) -> None:
    """Go on from `moments` of an earlier round; parameters without any start afresh."""
    known = dict(model.named_parameters())
    for key, value in kept.items():
        name, _, quantity = key.rpartition("/")
        if name in known:
            optimizer.state[known[name]][quantity] = _laid_out(value, known[name])


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """A copy in the parameter's place and memory order, which the fused kernel takes for granted."""
    if value.shape != parameter.shape:  # the count of steps
        return value.to(parameter.device, copy=True)
    return torch.empty_like(parameter).copy_(value)
