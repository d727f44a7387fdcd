"""What annotators left behind, as arrays: mask files by pixel value, boxes as JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from mtmed.data import pixels
from mtmed.data.quality import LARGEST, BadStudy, check_mask
from mtmed.types import Array


def load_mask(path: Path, values: list[list[int] | None], mapped: Array, shape: tuple[int, int]) -> Array:
    """[K,H,W] bool of a mask file; a class without values takes all but 0 if it is mapped."""
    stored = pixels.read_mask(path)
    check_mask(stored, np.empty(shape))
    planes = [
        np.isin(stored, accepted) if accepted is not None else (stored != 0) & used
        for accepted, used in zip(values, mapped, strict=True)
    ]
    return np.stack(planes)


def parse_boxes(cell: str) -> list[dict[str, Any]]:
    """Boxes [{"label", "xywh"}] of a cell; an empty cell has none.

    Raises:
        BadStudy: the cell is something else.
    """
    try:
        boxes = json.loads(cell or "[]")
        valid = isinstance(boxes, list) and all(_four_numbers(box["xywh"]) for box in boxes)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        # not quoted: a reason ends up in reports, and a cell may name somebody
        raise BadStudy('boxes not understood: expected [{"label": ..., "xywh": [x, y, w, h]}]') from error
    if not valid:
        raise BadStudy("boxes not understood: expected a list of boxes, and four finite numbers in xywh")
    return list(boxes)


def _four_numbers(xywh: Any) -> bool:
    return (
        isinstance(xywh, list)
        and len(xywh) == 4
        and all(isinstance(v, int | float) and abs(v) < LARGEST for v in xywh)  # NaN is not below
    )


def resized(mask: Array, shape: tuple[int, int]) -> Array:
    """A mask [h,w] bool at the size of its film, by nearest neighbour; a lesion of a few pixels stays.

    Raises:
        BadStudy: the proportions differ by more than rounding, so that it is not known where the lesion lies.
    """
    (height, width), (h, w) = shape, mask.shape
    if abs(h * width - w * height) > height + width:  # no factor leads from one to the other within a pixel
        raise BadStudy(
            f"mask of other proportions: expected those of {height} x {width} (rows x columns), got {h} x {w}"
        )
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in ((height, h), (width, w)))
    nearest = mask[np.ix_(rows, columns)]
    if not nearest.any():
        rows, columns = np.nonzero(mask)
        nearest[rows * height // h, columns * width // w] = True
    return nearest
