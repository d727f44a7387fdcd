"""Random but explicit changes of a batch that keep its labels true.

Only flips, shifts and scales: the box of a turned lesion cannot be known from the box alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mtmed.types import Batch, Boxes, Target

SHIFT, SCALE = 0.08, (0.88, 1.15)
VISIBLE = 0.25  # share of a box that must remain in the image for it to be kept


@dataclass(frozen=True)
class Placement:
    """Where each image goes: output = (input - offset) / factor, [B,2] (x, y), in -1..1 across the image."""

    factor: Tensor
    offset: Tensor

    def maps(self, values: Tensor, mode: str) -> Tensor:
        """Images or masks [B,C,S,S] moved; what comes in from outside is 0."""
        grid = self.grid(values.shape[-1])
        return F.grid_sample(values, grid, mode=mode, padding_mode="zeros", align_corners=False)

    def grid(self, size: int) -> Tensor:
        """Where each output pixel comes from, [B,S,S,2]; faster than affine_grid, which multiplies."""
        centres = (torch.arange(size) * 2 + 1) / size - 1
        x, y = (centres * self.factor[:, i, None] + self.offset[:, i, None] for i in (0, 1))
        shape = (len(x), size, size)
        return torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=3)

    def boxes(self, boxes: Sequence[Boxes], size: int) -> list[Boxes]:
        """Boxes moved with their images, cut at the edge; those that left the image are dropped."""
        return [self._moved(index, b, size) for index, b in enumerate(boxes)]

    def _moved(self, index: int, boxes: Boxes, size: int) -> Boxes:
        corners = boxes.xyxy.reshape(-1, 2, 2) * 2 / size - 1
        corners = ((corners - self.offset[index]) / self.factor[index] + 1) * size / 2
        whole = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
        seen = whole.clamp(0, size)
        kept = _area(seen) > VISIBLE * _area(whole)
        return Boxes(seen[kept], boxes.classes[kept])


def augmented(batch: Batch, generator: torch.Generator, measured: Tensor) -> Batch:
    """The batch flipped, shifted, scaled, and exposed differently, image by image.

    Args:
        measured: [B] bool, the images that keep their scale, because a length in them is a label.
    """
    placement = _draw(measured, generator)
    images = _expose(placement.maps(batch.images, "bilinear"), generator)
    targets = {head: _follow(target, placement, images.shape[-1]) for head, target in batch.targets.items()}
    return replace(batch, images=images, targets=targets)


def _draw(measured: Tensor, generator: torch.Generator) -> Placement:
    count = len(measured)
    scale = _uniform(count, *SCALE, generator).masked_fill(measured, 1)
    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    shift = (torch.rand(count, 2, generator=generator) * 2 - 1) * 2 * SHIFT
    return Placement(torch.stack([flip / scale, 1 / scale], dim=1), shift)


def _follow(target: Target, placement: Placement, size: int) -> Target:
    if not isinstance(target, Tensor):
        return placement.boxes(target, size)
    if target.ndim != 4 or not target.any():  # labels of the whole image stay; empty masks stay empty
        return target
    return placement.maps(target, "nearest")


def _expose(images: Tensor, generator: torch.Generator) -> Tensor:
    """Another gradation, contrast, brightness and a little noise for each image [B,1,S,S]."""
    bend, gain, level, grain = (
        _uniform(len(images), low, high, generator)[:, None, None, None]
        for low, high in ((-0.4, 0.4), (0.85, 1.15), (-0.05, 0.05), (0, 0.03))
    )
    noise = (torch.rand(images.shape, generator=generator) - 0.5) * grain
    # a parabola through black and white: a gamma curve without the cost of powers
    return ((images + bend * images * (1 - images)) * gain + level + noise).clamp_(0, 1)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _area(xyxy: Tensor) -> Tensor:
    return (xyxy[:, 2:] - xyxy[:, :2]).prod(dim=1)
