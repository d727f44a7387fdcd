"""Where the tiles of an image lie, and how much each says of a pixel that several of them show.

Tiles start at multiples of 32 pixels, the coarsest stride of an encoder, so that a tile's features lie on the grid of
the image's. A tile says nothing of the outermost quarter of its overlap, where its features miss their surroundings
(Ronneberger et al. 2015, overlap-tile); over the middle half one tile fades into the next.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mtmed.errors import UserError
from mtmed.types import Array

GRID = 32
SMALLEST, LARGEST = 64, 2048
OVERLAPS = (0.125, 0.5)
SCALES = (0.01, 4.0)


@dataclass(frozen=True)
class Tiling:
    """How an image is cut.

    Attributes:
        size: side of a tile in pixels.
        overlap: the share of a tile that at least lies on the next one.
        scale: pixels of the tiles per pixel of the image.
        spacing_mm: millimetres per pixel of the tiles, instead of `scale`, for images that state theirs.
    """

    size: int
    overlap: float = 0.25
    scale: float = 1.0
    spacing_mm: float | None = None

    def __post_init__(self) -> None:
        """Check the user's numbers.

        Raises:
            UserError: one of them is not possible.
        """
        if self.size % GRID or not SMALLEST <= self.size <= LARGEST:
            raise UserError(f"tiles of {self.size} pixels: expected a multiple of {GRID}, {SMALLEST} to {LARGEST}")
        if not OVERLAPS[0] <= self.overlap <= OVERLAPS[1]:
            raise UserError(f"overlap of tiles {self.overlap:g}: expected {OVERLAPS[0]:g} to {OVERLAPS[1]:g}")
        if self.spacing_mm is not None and not self.spacing_mm > 0:
            raise UserError(f"spacing of tiles {self.spacing_mm:g} mm: expected more than 0")
        _check_scale(self.scale)

    def scales(self, spacing_mm: tuple[float, float] | None) -> tuple[float, float]:
        """Pixels of the tiles per pixel of an image (row, column) with this spacing.

        Raises:
            UserError: the image does not state its spacing and it is needed, or it would be absurdly large or small.
        """
        if self.spacing_mm is None:
            return self.scale, self.scale
        if spacing_mm is None:
            raise UserError("states no mm per pixel, by which its tiles are to be scaled: give --tile-scale instead")
        down, across = (of_image / self.spacing_mm for of_image in spacing_mm)
        _check_scale(down)
        _check_scale(across)
        return down, across


def tiling(size: int | None, overlap: float | None, scale: float | None, spacing_mm: float | None) -> Tiling | None:
    """The tiling of a user who left out what is None; without a size there is none.

    Raises:
        UserError: the numbers are not possible, or contradict each other.
    """
    said = {name: value for name, value in (("overlap", overlap), ("scale", scale)) if value is not None}
    if size is None and (said or spacing_mm is not None):
        raise UserError("the overlap and the scale of tiles need --tiles: how many pixels is a side of one?")
    if scale is not None and spacing_mm is not None:
        raise UserError("the scale of tiles is given twice: expected either --tile-scale or --tile-spacing")
    return None if size is None else Tiling(size, spacing_mm=spacing_mm, **said)


def _check_scale(scale: float) -> None:
    if not SCALES[0] <= scale <= SCALES[1]:
        raise UserError(f"scale of tiles {scale:g}: expected {SCALES[0]:g} to {SCALES[1]:g} pixels per pixel")


def covered(side: int, size: int) -> int:
    """The side in pixels that tiles can cover: at least a tile, and a multiple of the grid."""
    return max(size, -(-side // GRID) * GRID)


def starts(side: int, size: int, overlap: float) -> list[int]:
    """Where tiles start along a `covered` side, evenly spread; each lies on the next by `overlap` of it or more."""
    free = (side - size) // GRID
    step = int(size * (1 - overlap)) // GRID
    count = -(-free // step)
    return [GRID * (i * free // count) for i in range(count)] + [GRID * free]


def windows(first: list[int], size: int) -> Array:
    """How much each tile says of each of its pixels along a side, [N,size]; over the tiles of a pixel they sum to 1."""
    weights = np.ones((len(first), size))
    for i, (here, following) in enumerate(pairwise(first)):
        ramp = _ramp(size, here + size - following)
        weights[i + 1] *= ramp
        weights[i] *= ramp[::-1]
    total = np.zeros(first[-1] + size)
    for start, weight in zip(first, weights, strict=True):
        total[start : start + size] += weight
    return np.stack([w / total[s : s + size] for s, w in zip(first, weights, strict=True)]).astype(np.float32)


def _ramp(size: int, overlap: int) -> Array:
    """From 0 to 1 along a tile that lies on its predecessor by `overlap` pixels; both ramps of a pair sum to 1."""
    inside = np.clip(((np.arange(size) + 0.5) / overlap - 0.25) * 2, 0, 1)
    return np.asarray(np.sin(inside * np.pi / 2) ** 2)
