"""Text in the pixels: names and dates that no header tells of.

PS3.15 E.3.1 asks for it to be looked for. No letter is read here: a line of text is a row of small, sharp shapes of
one height and one brightness on an even ground, and no anatomy is. It says where a person should look, not that
nothing is there: handwriting, text at a slant and letters below `LOWEST` are not found. A side marker (L, R, AP) names
nobody and is too short to be a line.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mtmed.types import Array

SIDE = 700  # pixels, about, of the longer side that is looked at: capitals of 1.2 % of it are still 7 high
CELL = 8  # pixels
EDGES = 9  # of the 64 steps from pixel to pixel in a cell; a straight edge has 8
STEP = 0.08  # of brightness, the least that makes an edge; with noise, as much more as is needed
STROKE = 11  # pixels; lines of letters are thinner
LOWEST, HIGHEST = 5, 0.05  # height of letters: pixels, and share of the longer side
LETTERS = 4
# what is printed is of one brightness and height on an even ground; limits drawn where what real films held parted
UNEVEN_GROUND, UNEVEN_INK, UNEVEN_HEIGHT = 0.33, 0.35, 0.2
CONTRAST = 0.1

_Shape = tuple[int, int, int, int, float]  # left, top, width, height, brightness at its brightest
_Area = tuple[slice, slice]


@dataclass(frozen=True)
class Line:
    """A line of text: about how many letters, and its (top, left, bottom, right) in the image's pixels."""

    letters: int
    box: tuple[int, int, int, int]


def flag(stated: str | None, image: Array) -> str:
    """Why an image [H,W] float32 in 0..1 may hold text that names the patient, or "".

    Args:
        stated: BurnedInAnnotation (0028,0301) of its file: YES, NO, or None or "" where it says neither. A NO is not
            taken for an answer: it is often a default.
    """
    if stated == "YES":
        return "its DICOM header says that text is burned in"
    line = next(lines(image), None)
    if line is None:
        return ""
    top, left, *_ = line.box
    height, width = image.shape
    return f"text in the picture: about {line.letters} letters at row {top}, column {left} of {height} x {width}"


def lines(image: Array) -> Iterator[Line]:
    """Lines of text in an image [H,W] in 0..1, level or upright, bright or dark; each may be found twice."""
    step = max(1, round(max(image.shape) / SIDE))
    # every step-th pixel, not their mean: letters stay sharp, and are thicker than a step where they can be read
    small = np.ascontiguousarray(image[::step, ::step])
    for letters, box in _level(small):
        yield Line(letters, _scaled(box, step))
    for letters, (top, left, bottom, right) in _level(np.ascontiguousarray(small.T)):
        yield Line(letters, _scaled((left, top, right, bottom), step))


def _scaled(box: tuple[int, int, int, int], step: int) -> tuple[int, int, int, int]:
    top, left, bottom, right = (step * v for v in box)
    return top, left, bottom, right


def _level(image: Array) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    if min(image.shape) <= CELL:
        return
    steps = np.abs(np.diff(image, axis=1))
    edge = max(STEP, 4 * float(np.median(steps[::4, ::4])))
    for rows, columns in _busy(steps > edge):
        for sign in (1, -1):
            part = sign * image[rows, columns]
            for letters, (top, left, bottom, right) in _rows_of_letters(part, edge, HIGHEST * max(image.shape)):
                yield letters, (rows.start + top, columns.start + left, rows.start + bottom, columns.start + right)


def _busy(edges: Array) -> list[_Area]:
    """Where edges [H,W-1] crowd for at least three cells side by side, with a cell around it."""
    height, width = (size // CELL * CELL for size in edges.shape)
    # eight columns to a byte, and their bits counted: a tenth of the time of a sum
    counts = np.bitwise_count(np.packbits(edges[:height, :width], axis=1))
    crowded = counts.reshape(height // CELL, CELL, -1).sum(1, dtype=np.uint16) >= EDGES
    three = np.ones((1, 3), bool)
    joined = ndimage.binary_opening(ndimage.binary_closing(np.pad(crowded, 1), three)[1:-1, 1:-1], three)
    groups, _ = ndimage.label(joined, np.ones((3, 3)))
    return [(_widened(rows), _widened(columns)) for rows, columns in ndimage.find_objects(groups)]


def _widened(cells: slice) -> slice:
    return slice(max(0, (cells.start - 1) * CELL), (cells.stop + 1) * CELL)


def _rows_of_letters(part: Array, edge: float, highest: float) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """Lines in a part [h,w] whose letters are brighter than their ground: letters, (top, left, bottom, right)."""
    # what is thinner than a stroke and brighter than its surroundings, however bright those are
    thin = ndimage.white_tophat(part, size=STROKE)
    ink = thin > max(edge, 0.5 * float(np.percentile(thin, 98)))
    for row in _rows(_shapes(thin, ink, highest)):
        letters = sum(_letters(shape) for shape in row)
        top, left = min(s[1] for s in row), row[0][0]
        bottom, right = max(s[1] + s[3] for s in row), max(s[0] + s[2] for s in row)
        box = (slice(top, bottom), slice(left, right))
        if letters >= LETTERS and _printed(row, part[box], ink[box]):
            yield letters, (top, left, bottom, right)


def _shapes(thin: Array, ink: Array, highest: float) -> list[_Shape]:
    """Connected ink of the height of letters, from left to right."""
    labels, count = ndimage.label(ink, np.ones((3, 3)))
    peaks = ndimage.maximum(thin, labels, range(1, count + 1)) if count else []
    found = [
        (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start, float(peak))
        for (rows, columns), peak in zip(ndimage.find_objects(labels), peaks, strict=True)
    ]
    return sorted(s for s in found if LOWEST <= s[3] <= highest and s[2] <= 8 * s[3])


def _letters(shape: _Shape) -> int:
    """How many letters a shape is: small ones run together."""
    return max(1, round(shape[2] / (0.8 * shape[3])))


def _rows(shapes: list[_Shape]) -> Iterator[list[_Shape]]:
    """Three or more shapes on one base line, none in two rows."""
    taken: set[int] = set()
    for first in range(len(shapes)):
        members = _row_from(shapes, first) if first not in taken else []
        if len(members) >= 3:
            taken.update(members)
            yield [shapes[i] for i in members]


def _row_from(shapes: list[_Shape], first: int) -> list[int]:
    left, top, width, height, _ = shapes[first]
    members, end = [first], left + width
    for i in range(first + 1, len(shapes)):
        left2, top2, width2, height2, _ = shapes[i]
        if left2 - end > 1.2 * height:
            break
        if abs(top2 + height2 - top - height) <= 0.3 * height and 0.6 <= height2 / height <= 1.6:
            members.append(i)
            end = max(end, left2 + width2)
    return members


def _printed(row: list[_Shape], part: Array, ink: Array) -> bool:
    """Whether shapes are alike and what is between them is even, as measured by their contrast."""
    heights, peaks = np.array([s[3] for s in row]), np.array([s[4] for s in row])
    around = ~ndimage.binary_dilation(ink)
    ground = part[around] if around.sum() >= 10 else part[~ink]
    low, middle, high = np.percentile(ground, [16, 50, 84])
    contrast = float(np.median(part[ink]) - middle)
    return bool(
        contrast >= CONTRAST
        and (high - low) / 2 <= UNEVEN_GROUND * contrast
        and peaks.std() <= UNEVEN_INK * peaks.mean()
        and heights.std() <= UNEVEN_HEIGHT * heights.mean()
    )
