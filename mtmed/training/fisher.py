"""The diagonal Fisher information, head by head: how sure a site is of each parameter.

With labels that are drawn from the model's own predictions it is, on average, the diagonal of the generalised
Gauss-Newton matrix (Martens 2020); the empirical one, of the given labels, mistakes large gradients for certainty
(Kunstner et al. 2019).
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mtmed.models.multitask import MultiTask
from mtmed.specs import TrainingSpec
from mtmed.training import device
from mtmed.training.finite import expect_losses
from mtmed.training.loader import collate
from mtmed.training.local import to_device
from mtmed.types import Batch, HeadSpec, Study


def precision(
    model: MultiTask, studies: Sequence[Study], spec: TrainingSpec, generator: torch.Generator
) -> dict[str, Tensor]:
    """P = sum_h n[h] F[h] by parameter name; names that no label reaches, and frozen ones, are absent (exactly zero).

    F[h] is the mean squared gradient of the head's own unweighted likelihood over at most `fisher_images`
    labelled images. A micro-batch's mean gradient, squared, is multiplied back by its size: unbiased where the
    mean gradient is zero, as it is on average with drawn labels, and many times faster than image by image.
    """
    total: dict[str, Tensor] = {}
    model.eval()
    for spec_head in model.architecture.heads:
        labelled = [s for s in studies if s.knows(spec_head.name)]
        if not labelled:
            continue
        for name, value in _fisher(model, labelled, spec_head, spec, generator).items():
            total[name] = total.get(name, 0) + len(labelled) * value
    return total


def _fisher(
    model: MultiTask, studies: Sequence[Study], head: HeadSpec, spec: TrainingSpec, generator: torch.Generator
) -> dict[str, Tensor]:
    """F[h] by parameter name, from a random sample of labelled studies."""
    order = torch.randperm(len(studies), generator=generator)[: spec.fisher_images].tolist()
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    squares: dict[str, Tensor] = {}
    for batch in _micro_batches([studies[i] for i in order], head, spec.fisher_micro_batch):
        gradients = _gradients(model, batch, head.name, spec, [p for _, p in named], generator)
        size = len(batch.images)
        for (name, _), gradient in zip(named, gradients, strict=True):
            if gradient is not None:
                squares[name] = squares.get(name, 0) + gradient.float().square() * size * size
    return {name: value / len(order) for name, value in squares.items()}


def _micro_batches(studies: Sequence[Study], head: HeadSpec, size: int) -> Iterator[Batch]:
    for start in range(0, len(studies), size):
        yield collate(studies[start : start + size], [head])


def _gradients(
    model: MultiTask,
    batch: Batch,
    head: str,
    spec: TrainingSpec,
    parameters: Sequence[Tensor],
    generator: torch.Generator,
) -> tuple[Tensor | None, ...]:
    """The gradient of the mean negative log-likelihood of a micro-batch."""
    batch = to_device(batch, parameters[0].device)
    with device.autocast(spec.precision, batch.images.device):
        outputs = model(batch.images, [head])[head]
    decoder, target = model.decoder(head), batch.targets[head]
    if spec.fisher_labels == "drawn":
        target = decoder.drawn(outputs, target, generator)
    loss = decoder.likelihoods(outputs, target, batch.labelled[head]).mean()
    expect_losses({head: float(loss.detach())}, batch.studies)
    return torch.autograd.grad(loss, parameters, allow_unused=True)
