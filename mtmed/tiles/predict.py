"""Masks and boxes of a large image; the network's memory is that of a few tiles, whatever the image's size.

Tiles are standardised as their whole image is, so that tissue looks the same to the network wherever it is cut.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from mtmed.data.geometry import letterbox
from mtmed.errors import UserError
from mtmed.models.engine import Engine, Standard
from mtmed.models.multitask import brightness
from mtmed.registry import find
from mtmed.tiles.canvas import Canvas, InnerBoxes, Masks
from mtmed.tiles.cut import Cut, Place, cut_up
from mtmed.tiles.tiling import Tiling
from mtmed.training.observe import predict
from mtmed.types import Array, HeadSpec

# by form; heads of other forms speak of the image as a whole
CANVASES: dict[str, type[Masks] | type[InnerBoxes]] = {"masks": Masks, "boxes": InnerBoxes}
PIXELS = 512 * 512  # of the tiles that are predicted at a time; or one tile

Found = tuple[Place, dict[str, Any]]


def local(spec: HeadSpec) -> bool:
    """Whether a head says where something is, and so may be asked tile by tile."""
    return find("mtmed.heads", spec.kind, "head kind").FORM in CANVASES


def expect_accepted(engine: Engine, tiling: Tiling) -> None:
    """Raise a UserError where the network cannot take tiles of this size."""
    if not engine.accepts(tiling.size):
        size = engine.architecture.image_size
        raise UserError(f"the model cannot take tiles of {tiling.size} pixels: give tiles of {size}, its own size")


def predict_tiles(
    engine: Engine,
    image: Array,
    heads: Sequence[HeadSpec],
    tiling: Tiling,
    spacing_mm: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Predictions of `local` heads in the image's own pixels: maps [K,H,W] or `Boxes`.

    Args:
        image: [H,W] float32 in 0..1, with `spacing_mm` per pixel (row, column) where it is known.

    Raises:
        UserError: the network cannot take tiles of this size, or the image cannot be cut so.
    """
    expect_accepted(engine, tiling)
    cut = cut_up(image, tiling, spacing_mm)
    canvases = {h.name: _canvas(h, cut) for h in heads}
    for place, found in _every_tile(engine, cut, list(canvases), _standard(image, engine)):
        for name, canvas in canvases.items():
            canvas.add(place, found[name])
    height, width = image.shape
    return {name: canvas.finished((height, width)) for name, canvas in canvases.items()}


def _canvas(spec: HeadSpec, cut: Cut) -> Canvas:
    return CANVASES[find("mtmed.heads", spec.kind, "head kind").FORM](spec, cut)


def _standard(image: Array, engine: Engine) -> Standard:
    """That of the whole image, as the network sees it when it sees it whole."""
    height, width = image.shape
    square = letterbox(height, width, engine.architecture.image_size).image(image)
    mean, deviation = brightness(torch.from_numpy(square)[None, None])
    return mean.squeeze(), deviation.squeeze()


def _every_tile(engine: Engine, cut: Cut, heads: Sequence[str], standard: Standard) -> Iterator[Found]:
    """The predictions of all tiles; of those of one brightness throughout, once: much of a mammogram is plain black."""
    plain: dict[float, list[Place]] = {}
    others: list[Place] = []
    for place in np.ndindex(len(cut.rows), len(cut.columns)):
        tile = cut.tile(place)
        same = plain.setdefault(float(tile[0, 0]), []) if tile.min() == tile.max() else others
        same.append(place)
    for places in plain.values():
        found = _together(engine, cut, places[:1], heads, standard)
        yield from ((place, found[0]) for place in places)
    count = max(1, PIXELS // cut.size**2)
    for first in range(0, len(others), count):
        places = others[first : first + count]
        yield from zip(places, _together(engine, cut, places, heads, standard), strict=True)


def _together(
    engine: Engine, cut: Cut, places: Sequence[Place], heads: Sequence[str], standard: Standard
) -> list[dict[str, Any]]:
    """The predictions of several tiles."""
    images = torch.from_numpy(np.stack([cut.tile(p) for p in places])[:, None])
    found = predict(engine, images, heads, standard)
    return [{head: rows[row] for head, rows in found.items()} for row in range(len(places))]
