"""An image in tiles."""

from dataclasses import dataclass

import numpy as np

from mtmed.data.geometry import resized
from mtmed.data.quality import check_size
from mtmed.tiles.tiling import Tiling, covered, starts
from mtmed.types import Array

Place = tuple[int, ...]  # number of a tile's row, and of its column


@dataclass(frozen=True)
class Cut:
    """An image as tiles: `plane` is the image at the tiles' scale in the middle of black that fills whole tiles.

    Attributes:
        top, left: where the image starts in the plane; `height` x `width` pixels of it are the image.
        size: side of a tile.
        rows, columns: where tiles start.
    """

    plane: Array
    top: int
    left: int
    height: int
    width: int
    size: int
    rows: list[int]
    columns: list[int]

    def corner(self, place: Place) -> tuple[int, int]:
        """Where a tile starts, y and x."""
        return self.rows[place[0]], self.columns[place[1]]

    def tile(self, place: Place) -> Array:
        """Its pixels [size,size]."""
        y, x = self.corner(place)
        return self.plane[y : y + self.size, x : x + self.size]

    def image(self, values: Array) -> Array:
        """The image's part of a map [..., H,W] of the plane."""
        return values[..., self.top : self.top + self.height, self.left : self.left + self.width]


def cut_up(image: Array, tiling: Tiling, spacing_mm: tuple[float, float] | None = None) -> Cut:
    """The tiles of an image [H,W] in 0..1, with `spacing_mm` per pixel (row, column) where it is known.

    Raises:
        UserError: at the scale that is asked for it would be too small or too large, or that scale is not known.
    """
    scales = tiling.scales(spacing_mm)
    height, width = (round(side * scale) for side, scale in zip(image.shape, scales, strict=True))
    check_size(height, width)
    scaled = image if (height, width) == image.shape else np.clip(resized(image, height, width), 0, 1)
    plane = np.zeros((covered(height, tiling.size), covered(width, tiling.size)), np.float32)
    top, left = (plane.shape[0] - height) // 2, (plane.shape[1] - width) // 2
    plane[top : top + height, left : left + width] = scaled
    rows, columns = (starts(side, tiling.size, tiling.overlap) for side in plane.shape)
    return Cut(plane, top, left, height, width, tiling.size, rows, columns)
