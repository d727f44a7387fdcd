"""What is found in a breast, and what only looks like it; lengths in images.

Shapes and margins are those of the BI-RADS lexicon (ACR, 5th edition): benign masses are oval and circumscribed,
malignant ones irregular and spiculated; benign calcifications are coarse, rim or vascular, malignant ones fine and
many.
"""

from dataclasses import dataclass

import numpy as np

from mtmed.phantoms import _shapes as shapes
from mtmed.phantoms._shapes import Point, Rng, dots, fractal, grid, inset, line, radius, soft
from mtmed.types import Array

FINE = 0.75  # pixels: what is finer is lost when an image is reduced for the network
CIRCLED = 0.013  # a reader's line runs so far from the outermost calcifications


@dataclass(frozen=True)
class Growth:
    """What a lesion does to a picture.

    Attributes:
        solid: how much it evens out what was there, [S,S] 0..1.
        light: what it adds, [S,S].
        mask: where it is, [S,S] bool; `calcified`: where its calcifications are.
    """

    solid: Array
    light: Array
    mask: Array
    calcified: Array


def circumscribed(rng: Rng, size: int, at: Point, across: float) -> Growth:
    """An oval mass with a sharp margin, such as a cyst or a fibroadenoma, `across` long."""
    x, y = grid(size)
    lobes = shapes.wavy(rng, np.arctan2(y - at[1], x - at[0]), range(2, 5), rng.uniform(0.03, 0.09))
    axes = (across / 2, across / 2 * rng.uniform(0.65, 0.95))
    q = radius(x, y, at, axes, rng.uniform(0, np.pi)) / lobes
    solid = soft(1 - q, rng.uniform(0.04, 0.1))
    dome = 0.75 + 0.25 * np.sqrt(np.clip(1 - q**2, 0, 1))
    return Growth(solid, rng.uniform(0.22, 0.34) * solid * dome - 0.025 * line(q - 1.1, 0.06), q < 1, q < 0)


def spiculated(rng: Rng, size: int, at: Point, across: float) -> Growth:
    """An irregular mass, `across` long, that pulls the tissue around it into a star."""
    x, y = grid(size)
    ragged = shapes.wavy(rng, np.arctan2(y - at[1], x - at[0]), range(2, 10), 0.22)
    r = across / 2.2
    q = radius(x, y, at, (r, r * rng.uniform(0.75, 1.0)), rng.uniform(0, np.pi)) / ragged
    solid = soft(1 - q + 0.14 * fractal(rng, size, 2.8), 0.22)
    star = star_of(rng, size, at, 0.6 * r, 1.7 * r)
    dome = 0.5 + 0.5 * np.sqrt(np.clip(1 - q**2, 0, 1))
    return Growth(solid, rng.uniform(0.34, 0.52) * (solid * dome + 0.5 * star * (1 - solid)), q < 1, q < 0)


def star_of(rng: Rng, size: int, at: Point, inner: float, outer: float) -> Array:
    """Thin bent lines that leave a centre, [S,S]: from `inner` to about `outer`."""
    centre, lines = np.array(at), []
    for angle in rng.uniform(0, 2 * np.pi, rng.integers(14, 26)):
        bent, far = angle + rng.normal(0, 0.22), inner + (outer - inner) * min(1.8, rng.gamma(3, 1 / 3))
        start, bend = (centre + r * np.array([np.cos(angle), np.sin(angle)]) for r in (inner, 0.6 * far))
        lines.append(shapes.curve(start, bend, centre + far * np.array([np.cos(bent), np.sin(bent)])))
    return shapes.strokes(size, lines, 0.0026, (1.1, 0.0))


def cluster(rng: Rng, size: int, at: Point, across: float, towards: Point) -> Growth:
    """Fine calcifications of unlike shapes, `across` wide; of four in ten along a duct, `towards` the nipple."""
    count = int(rng.integers(22, 46))
    spread = rng.normal(0, across / 4.5, (count, 2))
    if rng.random() < 0.4:
        way = np.array(towards) - at
        way /= np.linalg.norm(way) + 1e-9
        spread = np.outer(rng.normal(0, across / 3, count), way) + rng.normal(0, across / 14, (count, 2))
    points = np.array(at) + spread
    light = dots(size, points, max(0.0016, FINE / size), rng.uniform(0.3, 0.8, count))
    return _calcified(size, np.clip(light, 0, 0.8), points)


def coarse(rng: Rng, size: int, at: Point, across: float) -> Growth:
    """Popcorn: a few large calcifications of a fibroadenoma that has shrunk."""
    count = int(rng.integers(5, 11))
    points = np.array(at) + rng.normal(0, across / 5, (count, 2))
    light = dots(size, points, 0.005, rng.uniform(0.3, 0.5, count)) + dots(size, points, 0.0025, np.full(count, 0.2))
    return _calcified(size, np.clip(light, 0, 0.6), points)


def rim(rng: Rng, size: int, at: Point, across: float) -> Growth:
    """The egg shell of an oil cyst."""
    x, y = grid(size)
    q = radius(x, y, at, (across / 2, across / 2 * rng.uniform(0.8, 1)), rng.uniform(0, np.pi))
    shell = line(q - 0.9, max(0.1, 2 * shapes.FINEST / (size * across)))
    return Growth(np.zeros_like(shell), 0.4 * shell - 0.05 * soft(0.85 - q, 0.1), q < 1.1, q < 1.1)


def vascular(rng: Rng, size: int, at: Point, across: float) -> Growth:
    """The two calcified walls of an artery, broken into pieces."""
    turn, centre = rng.uniform(0, np.pi), np.array(at)
    way = np.array([np.cos(turn), np.sin(turn)]) * across / 2
    middle = shapes.curve(centre - way, centre + rng.normal(0, 0.2, 2) * across, centre + way, 90)
    whole = np.convolve(rng.random(len(middle)), np.ones(9) / 9, "same") > 0.42
    points = np.concatenate([shapes.offset(middle, d)[whole] for d in (-0.006, 0.006)])
    return _calcified(size, np.clip(dots(size, points, 0.0015, np.full(len(points), 0.3)), 0, 0.4), points)


def _calcified(size: int, light: Array, points: Array) -> Growth:
    """Calcifications at `points` [P,2], and the region that a reader would circle."""
    empty = np.ones((size, size), bool)
    at = np.clip((points * size).astype(int), 0, size - 1)
    empty[at[:, 1], at[:, 0]] = False
    near = inset(empty) < 0.04  # wide enough to close the gaps; what is too wide is taken off again
    region = inset(near) > 0.04 - CIRCLED
    return Growth(np.zeros_like(light), light, region, region)


def asymmetry(rng: Rng, size: int, at: Point, across: float) -> Array:
    """A ragged island of gland, no mass: [S,S] of added brightness."""
    x, y = grid(size)
    q = radius(x, y, at, (0.8 * across, 0.4 * across), rng.uniform(0, np.pi))
    ragged = soft(0.7 - q + 0.45 * fractal(rng, size, 2.8), 0.4) * np.exp(-(q**2) / 2)
    return rng.uniform(0.1, 0.2) * ragged


def node(rng: Rng, size: int, at: Point, across: float) -> Array:
    """A lymph node, kidney-shaped, with fat in its hilum: [S,S] of added brightness."""
    x, y = grid(size)
    turn, flat = rng.uniform(0, np.pi), rng.uniform(0.5, 0.7)
    q = radius(x, y, at, (across / 2, flat * across / 2), turn)
    notch = (at[0] - 0.2 * across * float(np.sin(turn)), at[1] + 0.2 * across * float(np.cos(turn)))
    hilum = radius(x, y, notch, (0.28 * across, 0.6 * flat * 0.28 * across), turn)
    return rng.uniform(0.1, 0.18) * (soft(1 - q, 0.12) - 0.75 * soft(1 - hilum, 0.3))
