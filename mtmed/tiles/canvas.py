"""What the tiles of an image say, put together: masks are blended, boxes that a cut goes through are dropped."""

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mtmed.data.geometry import resized
from mtmed.registry import find
from mtmed.tiles.cut import Cut, Place
from mtmed.tiles.tiling import windows
from mtmed.types import Array, Boxes, HeadSpec

EDGE = 4.0  # a box that ends so near to a cut, in pixels, is taken to go on behind it


class Canvas(Protocol):
    """One head's answer for the whole image, as it grows."""

    def add(self, place: Place, prediction: Any) -> None:
        """What the head says of the tile at `place`."""

    def finished(self, shape: tuple[int, int]) -> Any:
        """The prediction in the pixels of the image of this shape."""


class Masks:
    """Probabilities of the plane, blended."""

    def __init__(self, spec: HeadSpec, cut: Cut) -> None:
        self.cut = cut
        self.blended = np.zeros((len(spec.classes), *cut.plane.shape), np.float32)
        self.down, self.across = (windows(first, cut.size) for first in (cut.rows, cut.columns))

    def add(self, place: Place, prediction: Tensor) -> None:
        (y, x), size = self.cut.corner(place), self.cut.size
        weight = self.down[place[0]][:, None] * self.across[place[1]]
        self.blended[:, y : y + size, x : x + size] += weight * prediction.numpy()

    def finished(self, shape: tuple[int, int]) -> Tensor:
        found: Array = self.cut.image(self.blended)
        if found.shape[1:] != shape:
            found = np.stack([resized(plane, *shape) for plane in found])
        return torch.from_numpy(np.clip(found, 0, 1))


class InnerBoxes:
    """Boxes of the plane; one that a cut goes through is left to the tile that shows it whole."""

    def __init__(self, spec: HeadSpec, cut: Cut) -> None:
        self.cut, self.kind = cut, find("mtmed.heads", spec.kind, "head kind")
        self.found: list[Boxes] = []

    def add(self, place: Place, prediction: Boxes) -> None:
        assert prediction.scores is not None
        y, x = self.cut.corner(place)
        kept = self._uncut(place, prediction.xyxy)
        moved = prediction.xyxy[kept] + torch.tensor([x, y, x, y])
        self.found.append(Boxes(moved, prediction.classes[kept], prediction.scores[kept]))

    def finished(self, shape: tuple[int, int]) -> Boxes:
        best: Boxes = self.kind.merge(self.found)
        assert best.scores is not None
        scale = torch.tensor([shape[1] / self.cut.width, shape[0] / self.cut.height] * 2)
        xyxy = (best.xyxy - torch.tensor([self.cut.left, self.cut.top] * 2)) * scale
        end = torch.tensor([shape[1], shape[0]])
        shown = ((xyxy[:, 2:] >= 0) & (xyxy[:, :2] <= end)).all(1)  # the others are in the black around the image
        xyxy = xyxy[shown].clamp(min=0).minimum(end.repeat(2))
        return Boxes(xyxy, best.classes[shown], best.scores[shown])

    def _uncut(self, place: Place, xyxy: Tensor) -> Tensor:
        """Which boxes [M,4] of a tile end before its inner borders."""
        (row, column), cut = place, self.cut
        before = torch.tensor([column > 0, row > 0])
        behind = torch.tensor([column + 1 < len(cut.columns), row + 1 < len(cut.rows)])
        begun, going_on = xyxy[:, :2] < EDGE, xyxy[:, 2:] > cut.size - EDGE
        return ~((before & begun) | (behind & going_on)).any(1)
