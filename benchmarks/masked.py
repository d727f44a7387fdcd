"""Masked-image modelling in the manner of SimMIM (Xie et al. 2022, arXiv:2111.09886), for any pyramid encoder.

Squares of the standardised image are set to zero, its mean; a light head predicts their pixels from all maps of the
encoder; the loss is the L1 distance at the masked pixels alone. The head is thrown away.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtmed.models import encoder
from mtmed.models.multitask import MultiTask, standardise
from mtmed.specs import TrainingSpec
from mtmed.training.loader import batches
from mtmed.training.local import Span, rate
from mtmed.training.optimizer import set_rate
from mtmed.types import Study

SQUARE, SHARE = 8, 0.6  # pixels of a masked square's side; share of the squares that are masked
WIDTH = 32


class Painter(nn.Module):
    """An encoder and the head that paints what it was not shown: images [B,1,H,W] to the same shape."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        info = cast(Any, body).feature_info
        self.stride = min(info.reduction())
        self.laterals = nn.ModuleList(nn.Conv2d(channels, WIDTH, 1) for channels in info.channels())
        self.pixels = nn.Sequential(nn.GELU(), nn.Conv2d(WIDTH, self.stride**2, 1), nn.PixelShuffle(self.stride))

    def forward(self, images: Tensor) -> Tensor:
        """All maps, projected and brought to the size of the finest, added; then its pixels by place."""
        found = encoder.maps(self.body, images)
        narrow = [lateral(m) for lateral, m in zip(self.laterals, found, strict=True)]
        size = (images.shape[-2] // self.stride, images.shape[-1] // self.stride)
        return cast(Tensor, self.pixels(sum(F.interpolate(m, size, mode="bilinear") for m in narrow)))


def masks(count: int, size: int, generator: torch.Generator) -> Tensor:
    """[count,1,size,size] of 0 and 1: in each image the same number of squares is masked (1)."""
    side = size // SQUARE
    order = torch.rand(count, side * side, generator=generator).argsort(1)
    few = (order < round(SHARE * side * side)).float().reshape(count, 1, side, side)
    return F.interpolate(few, size, mode="nearest")


def loss(painter: Painter, images: Tensor, hidden: Tensor) -> Tensor:
    """Mean L1 distance at the hidden pixels, in deviations of the image."""
    whole = standardise(images)
    painted = painter(whole * (1 - hidden))
    return ((painted - whole).abs() * hidden).sum() / hidden.sum()


def pretrain(
    model: MultiTask, studies: Sequence[Study], spec: TrainingSpec, steps: int, generator: torch.Generator
) -> float:
    """Pretrain the model's encoder in place; its heads are left alone. The mean loss of the last tenth.

    The head's first weights come from `generator`, too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        painter = Painter(model.encoder).train()
    matrices = [p for p in painter.parameters() if p.ndim > 1]
    rest = [p for p in painter.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": spec.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=spec.learning_rate, fused=True)
    losses: list[float] = []
    while len(losses) < steps:
        for batch in batches(studies, (), spec.batch_size, generator, spec.augment):
            if len(losses) == steps:
                break
            set_rate(adam, rate(spec, Span(0, 10), 10 * len(losses) / steps))
            hidden = masks(len(batch.images), batch.images.shape[-1], generator)
            value = loss(painter, batch.images, hidden)
            adam.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(painter.parameters(), spec.clip_norm)
            adam.step()
            losses.append(float(value.detach()))
    last = losses[-math.ceil(steps / 10) :]
    return sum(last) / len(last)
