"""From a picture of any shape to the square that the network reads, and back: padded, never stretched."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import label, maximum

from mtmed.types import Array


@dataclass(frozen=True)
class Letterbox:
    """Where an image of `height` x `width` pixels lies in a square of `size` pixels.

    Attributes:
        inner_height, inner_width: the image's size inside the square.
        top, left: its offset inside the square; the rest is black.
    """

    height: int
    width: int
    size: int
    inner_height: int
    inner_width: int
    top: int
    left: int

    @property
    def scale(self) -> float:
        """Pixels of the square per pixel of the image."""
        return self.size / max(self.height, self.width)

    def image(self, image: Array) -> Array:
        """An image [H,W] float32 in the square [S,S]."""
        return self._pad(np.clip(resized(image, self.inner_height, self.inner_width), 0, 1))

    def mask(self, mask: Array) -> Array:
        """A mask [H,W] bool in the square [S,S] bool; nothing that is drawn in the image vanishes.

        A pixel belongs to it if at least half of it does; a lesion that would have none keeps its fullest one, also
        beside a larger lesion.
        """
        share = resized(mask, self.inner_height, self.inner_width)
        inside = share >= 0.5
        specks, count = label(share > 0)
        fullest = np.concatenate([[0], maximum(share, specks, np.arange(1, count + 1))])
        lost = np.arange(count + 1) > 0
        lost[specks[inside]] = False
        return self._pad(inside | (lost[specks] & (share >= fullest[specks])))

    def boxes(self, xyxy: Array) -> Array:
        """Boxes [M,4] of the image as boxes of the square."""
        sx, sy = self.inner_width / self.width, self.inner_height / self.height
        return (xyxy * [sx, sy, sx, sy] + [self.left, self.top] * 2).astype(np.float32)

    def boxes_back(self, xyxy: Array) -> Array:
        """Boxes [M,4] of the square as boxes of the image, cut at its edge."""
        sx, sy = self.inner_width / self.width, self.inner_height / self.height
        moved = (xyxy - [self.left, self.top] * 2) / [sx, sy, sx, sy]
        return np.clip(moved, 0, [self.width, self.height] * 2).astype(np.float32)

    def map_back(self, values: Array) -> Array:
        """A map [..., S,S] of the square (probabilities) as float32 [..., H,W] of the image."""
        cut = values[..., self.top : self.top + self.inner_height, self.left : self.left + self.inner_width]
        planes = cut.reshape(-1, *cut.shape[-2:])
        back = np.stack([resized(plane, self.height, self.width) for plane in planes])
        return back.reshape(*values.shape[:-2], self.height, self.width)

    def spacing(self, spacing_mm: tuple[float, float] | None) -> tuple[float, float] | None:
        """Millimetres per pixel of the square, from millimetres per pixel of the image."""
        if spacing_mm is None:
            return None
        return spacing_mm[0] * self.height / self.inner_height, spacing_mm[1] * self.width / self.inner_width

    def _pad(self, inner: Array) -> Array:
        square = np.zeros((self.size, self.size), inner.dtype)
        square[self.top : self.top + self.inner_height, self.left : self.left + self.inner_width] = inner
        return square


def letterbox(height: int, width: int, size: int) -> Letterbox:
    """The placement of an image of `height` x `width` pixels, centred, in a square of `size` pixels."""
    longest = max(height, width)
    inner_height, inner_width = (max(1, round(side * size / longest)) for side in (height, width))
    top, left = (size - inner_height) // 2, (size - inner_width) // 2
    return Letterbox(height, width, size, inner_height, inner_width, top, left)


def resized(values: Array, height: int, width: int) -> Array:
    """[H,W] at another size, float32; antialiased: every pixel has a share, so a speck dims but stays."""
    plane = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR))
