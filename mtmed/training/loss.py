"""The hybrid loss: a weighted sum of the heads' losses, each a mean over the images labelled for it."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mtmed.models.multitask import MultiTask
from mtmed.types import Batch


def present_heads(batch: Batch) -> list[str]:
    """The heads for which some image of the batch is labelled."""
    return [head for head, labelled in batch.labelled.items() if bool(labelled.any())]


def head_losses(model: MultiTask, outputs: Mapping[str, Any], batch: Batch) -> dict[str, Tensor]:
    """The loss of each head that has outputs, averaged over its labelled images (scalars)."""
    return {head: _labelled_mean(model, outputs[head], batch, head) for head in outputs}


def hybrid(model: MultiTask, losses: Mapping[str, Tensor]) -> Tensor:
    """sum_h weight_h loss_h; a head without labels in the batch is not in the sum."""
    terms = [model.decoder(head).spec.weight * loss for head, loss in losses.items()]
    return sum(terms[1:], terms[0])


def _labelled_mean(model: MultiTask, outputs: Any, batch: Batch, head: str) -> Tensor:
    labelled = batch.labelled[head]
    images = labelled.any(1).float()
    return (model.decoder(head).losses(outputs, batch.targets[head], labelled) * images).sum() / images.sum()
