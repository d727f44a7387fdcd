"""Local training: what one site does with the global model in one round."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from mtmed.errors import NotFinite
from mtmed.models.multitask import MultiTask
from mtmed.specs import TrainingSpec
from mtmed.training import device, optimizer
from mtmed.training.corrections._base import Hook
from mtmed.training.finite import Guard
from mtmed.training.loader import batches
from mtmed.training.loss import head_losses, hybrid, present_heads
from mtmed.types import Batch, Boxes, HeadSpec, Study, Target


@dataclass(frozen=True)
class Span:
    """The part of the whole federation that this call trains: rounds `start` to `start + 1` of `rounds`."""

    start: int
    rounds: int


def train(
    model: MultiTask,
    studies: Sequence[Study],
    spec: TrainingSpec,
    span: Span,
    generator: torch.Generator,
    kept: optimizer.Moments | None = None,
    correct: Hook = Hook(),  # noqa: B008  (without state)
) -> dict[str, float]:
    """Train in place for the configured epochs or steps; the mean loss per head of the last pass.

    Parameters that no labelled image reaches do not move, not by weight decay either.

    Args:
        kept: the optimiser's moments after the site's last round, replaced by those after this one; without
            it, or where it is empty, they start afresh.
        correct: adds to the gradients of a step (mtmed/training/corrections).

    Raises:
        NotFinite: pixels, a loss or the gradient are not finite. The model and `kept` are then those after the last
            good step.
    """
    place = next(model.parameters()).device
    heads = model.architecture.heads
    _switch_on(model, spec)
    adam = optimizer.build(model, studies, spec)
    optimizer.restore(adam, model, kept or {})
    per_epoch = math.ceil(len(studies) / spec.batch_size)
    steps = spec.steps or spec.epochs * per_epoch
    losses: dict[str, list[float]] = defaultdict(list)
    guard = Guard(model)
    average = AveragedModel(model) if spec.average < 1 else None
    feed = _endless(studies, heads, spec, generator)
    try:
        for step in range(steps):
            optimizer.set_rate(adam, rate(spec, span, step / steps))
            for head, loss in _step(model, adam, to_device(next(feed), place), spec, guard, correct).items():
                if step >= steps - per_epoch:
                    losses[head].append(loss)
            if average is not None and step >= min(spec.average * steps, steps - 1):
                average.update_parameters(model)
        if average is not None:
            model.load_state_dict(average.module.state_dict())
    except NotFinite as error:
        error.step = step + 1
        raise
    finally:
        if kept is not None:
            kept.clear()
            kept.update(optimizer.moments(adam, model))
    return {head: sum(values) / len(values) for head, values in losses.items()}


def _switch_on(model: MultiTask, spec: TrainingSpec) -> None:
    model.train()
    if spec.freeze_encoder:
        model.encoder.requires_grad_(False).eval()  # running statistics stay as well


def labels(studies: Sequence[Study], heads: Iterable[str]) -> dict[str, int]:
    """The number of studies with a label of each head."""
    return {head: sum(study.knows(head) for study in studies) for head in heads}


def _endless(
    studies: Sequence[Study], heads: Sequence[HeadSpec], spec: TrainingSpec, generator: torch.Generator
) -> Iterator[Batch]:
    while True:
        yield from batches(studies, heads, spec.batch_size, generator, spec.augment, spec.sampling)


def _step(
    model: MultiTask,
    adam: torch.optim.Optimizer,
    batch: Batch,
    spec: TrainingSpec,
    guard: Guard,
    correct: Hook,
) -> dict[str, float]:
    heads = present_heads(batch)
    if not heads:
        return {}
    with guard.buffers_kept():
        with device.autocast(spec.precision, batch.images.device):
            outputs = model(batch.images, heads)
        losses = head_losses(model, outputs, batch)
        adam.zero_grad(set_to_none=True)
        hybrid(model, losses).backward()
        correct()
        numbers = guard.clip(losses, spec.clip_norm, batch.studies)
    adam.step()
    return numbers


def rate(spec: TrainingSpec, span: Span, progress: float) -> float:
    """The learning rate at `progress` (0..1) through the round: linear warm-up, then a cosine over all rounds.

    It falls to zero with the last round, because a constant rate leaves the last round noisy.
    """
    at = span.start + progress
    warm = min(1.0, (at + 0.1) / spec.warmup_rounds) if spec.warmup_rounds else 1.0
    return spec.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, at / span.rounds)))


def to_device(batch: Batch, place: torch.device) -> Batch:
    """The batch on another device."""
    if place.type == "cpu":
        return batch
    targets = {h: _moved(t, place) for h, t in batch.targets.items()}
    labelled = {h: known.to(place) for h, known in batch.labelled.items()}
    return replace(batch, images=batch.images.to(place), targets=targets, labelled=labelled)


def _moved(target: Target, place: torch.device) -> Target:
    if isinstance(target, Tensor):
        return target.to(place)
    return [Boxes(b.xyxy.to(place), b.classes.to(place)) for b in target]
