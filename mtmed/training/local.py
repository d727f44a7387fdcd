"""Local training: what one site does with the global model in one round."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtmed.config import TrainingSpec
from mtmed.data.loader import batches
from mtmed.models.multitask import MultiTask
from mtmed.training import device
from mtmed.training.loss import head_losses, hybrid, present_heads
from mtmed.types import Batch, HeadSpec, Study


@dataclass(frozen=True)
class Span:
    """The part of the whole federation that this call trains: rounds `start` to `start + 1` of `rounds`."""

    start: int
    rounds: int


def train(
    model: MultiTask, studies: Sequence[Study], spec: TrainingSpec, span: Span, generator: torch.Generator
) -> dict[str, float]:
    """Train in place for the configured epochs or steps; the mean loss per head of the last pass.

    Parameters that no labelled image reaches do not move, not by weight decay either.
    """
    place = next(model.parameters()).device
    heads = model.architecture.heads
    optimizer = _optimizer(model, studies, spec)
    per_epoch = math.ceil(len(studies) / spec.batch_size)
    steps = spec.steps or spec.epochs * per_epoch
    losses: dict[str, list[float]] = defaultdict(list)
    model.train()
    for step, batch in zip(range(steps), _endless(studies, heads, spec, generator), strict=False):
        _set_rate(optimizer, rate(spec, span, step / steps))
        for head, loss in _step(model, optimizer, to_device(batch, place), spec).items():
            if step >= steps - per_epoch:
                losses[head].append(loss)
    return {head: sum(values) / len(values) for head, values in losses.items()}


def _endless(
    studies: Sequence[Study], heads: Sequence[HeadSpec], spec: TrainingSpec, generator: torch.Generator
) -> Iterator[Batch]:
    while True:
        yield from batches(studies, heads, spec.batch_size, generator, spec.augment)


def _step(model: MultiTask, optimizer: torch.optim.Optimizer, batch: Batch, spec: TrainingSpec) -> dict[str, float]:
    heads = present_heads(batch)
    if not heads:
        return {}
    with device.autocast(spec.precision, batch.images.device):
        outputs = model(batch.images, heads)
    losses = head_losses(model, outputs, batch)
    optimizer.zero_grad(set_to_none=True)
    hybrid(model, losses).backward()
    nn.utils.clip_grad_norm_(model.parameters(), spec.clip_norm)
    optimizer.step()
    return {head: float(loss.detach()) for head, loss in losses.items()}


def rate(spec: TrainingSpec, span: Span, progress: float) -> float:
    """The learning rate at `progress` (0..1) through the round: linear warm-up, then a cosine over all rounds.

    It falls to zero with the last round, because a constant rate leaves the last round noisy.
    """
    at = span.start + progress
    warm = min(1.0, (at + 0.1) / spec.warmup_rounds) if spec.warmup_rounds else 1.0
    return spec.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, at / span.rounds)))


def _set_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = value


def _optimizer(model: MultiTask, studies: Sequence[Study], spec: TrainingSpec) -> torch.optim.Optimizer:
    """AdamW over what the site's labels reach; decay on matrices only, and not on the predictors' class rows."""
    labelled = {head for s in studies for head, known in s.labelled.items() if known.any()}
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        if parts[0] == "heads" and parts[1] not in labelled:
            continue
        matrix = parameter.ndim > 1 and "predictor" not in name and "cls_logits" not in name
        (matrices if matrix else rest).append(parameter)
    groups = [{"params": matrices, "weight_decay": spec.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=spec.learning_rate, fused=True)


def to_device(batch: Batch, place: torch.device) -> Batch:
    """The batch on another device."""
    if place.type == "cpu":
        return batch
    move: Mapping[str, object] = {h: _moved(t, place) for h, t in batch.targets.items()}
    return Batch(batch.images.to(place), move, {h: k.to(place) for h, k in batch.labelled.items()})  # type: ignore[arg-type]


def _moved(target: object, place: torch.device) -> object:
    if isinstance(target, Tensor):
        return target.to(place)
    return [type(b)(b.xyxy.to(place), b.classes.to(place)) for b in target]  # type: ignore[attr-defined]
