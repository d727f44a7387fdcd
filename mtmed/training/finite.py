"""Training goes on with finite numbers only: any other stops it before the weights move, and says whose it was."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mtmed.errors import NotFinite
from mtmed.models.multitask import head_of


def expect_pixels(images: Tensor, studies: Sequence[str]) -> None:
    """Refuse images [B,C,H,W] with NaN or infinity.

    Raises:
        NotFinite: it names the images that have some, not the whole batch.
    """
    good = images.isfinite().flatten(1).all(1).tolist()
    if not all(good):
        raise NotFinite("the pixels", None, [name for name, ok in zip(studies, good, strict=True) if not ok])


def expect_losses(losses: Mapping[str, float], studies: Sequence[str]) -> None:
    """Refuse a batch in which a head's loss is NaN or infinite.

    Raises:
        NotFinite: it names the first such head and the batch.
    """
    for head, loss in losses.items():
        if not math.isfinite(loss):
            raise NotFinite("the loss", head, studies)


class Guard:
    """Watches the steps of one training; made once, because to walk through all modules at every step takes time."""

    def __init__(self, model: nn.Module) -> None:
        self.named = dict(model.named_parameters())
        self.parameters = list(self.named.values())
        self.buffers = list(model.buffers())

    def clip(self, losses: Mapping[str, Tensor], limit: float, studies: Sequence[str]) -> dict[str, float]:
        """Clip the gradient to the norm `limit`, as `clip_grad_norm_` does; the losses as numbers.

        A GPU is waited for once, for all the numbers together.

        Raises:
            NotFinite: a loss or the gradient is not finite; neither weights nor gradient were changed.
        """
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        *values, size = torch.stack([*(loss.detach() for loss in losses.values()), norm]).tolist()
        numbers = dict(zip(losses, values, strict=True))
        expect_losses(numbers, studies)
        if not math.isfinite(size):
            raise NotFinite("the gradient", self._whose(), studies)
        nn.utils.clip_grads_with_norm_(self.parameters, limit, norm)
        return numbers

    def _whose(self) -> str | None:
        """The head in whose own gradient the first such number is; None if only the encoder's, or the norm, has one."""
        bad = (n for n, p in self.named.items() if p.grad is not None and not p.grad.isfinite().all())
        return next((head for head in map(head_of, bad) if head), None)

    @contextmanager
    def buffers_kept(self) -> Iterator[None]:
        """Where the block meets a number that is not finite, running statistics are again as they were before it."""
        before = [buffer.clone() for buffer in self.buffers]
        try:
            yield
        except NotFinite:
            for buffer, value in zip(self.buffers, before, strict=True):
                buffer.copy_(value)
            raise
