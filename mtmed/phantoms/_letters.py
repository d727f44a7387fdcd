"""Lead letters and burnt-in ones, drawn as lines: no font is needed, and they look the same everywhere."""

import numpy as np

from mtmed.phantoms._shapes import Point, strokes
from mtmed.types import Array

# per letter its lines through points of a box one high and 0.7 wide, y down
_BOW = [(0.05, 1), (0.05, 0), (0.5, 0), (0.68, 0.14), (0.68, 0.37), (0.5, 0.51), (0.05, 0.51)]
_RING = [(0.35, 0), (0.62, 0.12), (0.7, 0.5), (0.62, 0.88), (0.35, 1), (0.08, 0.88), (0, 0.5), (0.08, 0.12), (0.35, 0)]
LETTERS: dict[str, list[list[Point]]] = {
    "C": [[(0.68, 0.18), (0.5, 0.02), (0.2, 0.05), (0.02, 0.3), (0.02, 0.7), (0.2, 0.95), (0.5, 0.98), (0.68, 0.82)]],
    "L": [[(0.05, 0), (0.05, 1), (0.65, 1)]],
    "M": [[(0, 1), (0.05, 0), (0.35, 0.7), (0.65, 0), (0.7, 1)]],
    "O": [_RING],
    "R": [_BOW, [(0.4, 0.51), (0.7, 1)]],
    " ": [],
}


def marker(image: Array, text: str, at: Point, height: float, plate: bool = False) -> Array:
    """An image [S,S] with `text` centred `at`; on film a bright plate with dark letters, else bright letters."""
    size, advance = len(image), 0.95 * height
    left, top = at[0] - advance * len(text) / 2, at[1] - height / 2
    lines = [
        np.array(points) * height + (left + n * advance + 0.12 * height, top)
        for n, letter in enumerate(text)
        for points in LETTERS[letter]
    ]
    ink = np.clip(1.2 * strokes(size, lines, 0.06 * height), 0, 1)
    if not plate:
        return image + ink * (0.9 - image)
    marked, spread = image.copy(), ((at[1], 0.95 * height), (at[0], advance * (len(text) / 2 + 0.4)))
    rows, columns = (slice(int((middle - half) * size), int((middle + half) * size)) for middle, half in spread)
    marked[rows, columns] = 0.88 - 0.75 * ink[rows, columns]
    return marked
