"""What lies over a chest and means no disease: breasts, nipples, leads, tubes, a pacemaker; added thickness [S,S]."""

from collections.abc import Callable

import numpy as np

from mtmed.phantoms import _shapes as shapes
from mtmed.phantoms._shapes import Rng, dots, grid, radius, soft, strokes
from mtmed.phantoms._thorax import LEFT, RIGHT, Frame, Thorax
from mtmed.types import Array

Cover = Callable[[Rng, int, Frame, Thorax], Array]


def innocent(rng: Rng, size: int, at: Frame, chest: Thorax) -> Array:
    """All that this patient has."""
    cover = np.zeros((size, size), np.float32)
    for draw, (upright, in_bed) in COVERS.items():
        if rng.random() < (in_bed if at.supine else upright):
            cover += draw(rng, size, at, chest)
    return cover


def _breasts(rng: Rng, size: int, at: Frame, chest: Thorax) -> Array:  # noqa: ARG001
    """Each hangs over the lower lung, its lower border sharp."""
    x, y = grid(size)
    thick, low = rng.uniform(0.04, 0.12), rng.uniform(0.56, 0.73)
    axes = (rng.uniform(0.38, 0.5) * at.half, rng.uniform(0.2, 0.3) * at.tall)
    both = np.zeros((size, size), np.float32)
    for side in (RIGHT, LEFT):
        centre = at.at(side * rng.uniform(0.6, 0.75), low)
        both += thick * soft(1 - radius(x, y, centre, axes, side * 0.3), 0.05) * soft(y - centre[1], 0.1)
    return both


def _nipples(rng: Rng, size: int, at: Frame, chest: Thorax) -> Array:  # noqa: ARG001
    points = np.array([at.at(side * rng.uniform(0.5, 0.65), rng.uniform(0.7, 0.78)) for side in (RIGHT, LEFT)])
    return dots(size, points, 0.009, 0.1 * rng.integers(0, 2, 2))


def _leads(rng: Rng, size: int, at: Frame, chest: Thorax) -> Array:  # noqa: ARG001
    """Electrodes with a bright snap, and their wires, which leave the film below."""
    spots = np.array([(-0.85, 0.12), (0.85, 0.1), (0.8, 0.95), (-0.75, 0.95), (0.2, 0.6)])
    wires, snaps = [], []
    for x, y in rng.permutation(spots)[: rng.integers(2, 5)]:
        end, start = at.at(x + rng.normal(0, 0.1), y + rng.normal(0, 0.06)), (rng.uniform(0.1, 0.9), 1.02)
        loop = ((start[0] + end[0]) / 2 + rng.normal(0, 0.15), rng.uniform(0.4, 0.9))
        wires.append(shapes.curve(start, loop, end))
        snaps.append(end)
    points, ones = np.array(snaps), np.ones(len(snaps))
    pads = dots(size, points, 0.012, 0.12 * ones) + dots(size, points, 0.004, 0.5 * ones)
    return 0.22 * strokes(size, wires, 0.0016) + pads


def _lines(rng: Rng, size: int, at: Frame, chest: Thorax) -> Array:  # noqa: ARG001
    """A central venous catheter, and often a tube in the trachea or to the stomach."""
    shown = [at.path([(-0.5, -0.15), (-0.35, 0.05), (-0.2, 0.14), (-0.16, 0.3), (-0.17, 0.45)])]
    if rng.random() < 0.6:
        shown.append(at.path([(0.0, -0.4), (0.0, 0.0), (-0.01, 0.26)]))
    if rng.random() < 0.5:
        shown.append(at.path([(0.03, -0.4), (0.03, 0.4), (0.08, 0.85), (0.25, 1.0), (0.45, 1.1)]))
    return 0.2 * strokes(size, shown, 0.002)


def _pacemaker(rng: Rng, size: int, at: Frame, chest: Thorax) -> Array:  # noqa: ARG001
    x, y = grid(size)
    box = at.at(0.72 + rng.normal(0, 0.04), 0.12 + rng.normal(0, 0.03))
    lead = at.path([(0.62, 0.1), (0.3, 0.12), (-0.1, 0.2), (-0.16, 0.5), (0.1, 0.88), (0.3, 0.9)])
    return 0.7 * soft(1 - radius(x, y, box, (0.05, 0.04), 0.2), 0.06) + 0.35 * strokes(size, [lead], 0.002)


def _granuloma(rng: Rng, size: int, at: Frame, chest: Thorax) -> Array:  # noqa: ARG001
    """An old infection, calcified."""
    return dots(size, np.array([shapes.place(rng, chest.air)]), 0.006, np.array([0.25]))


def _plate(rng: Rng, size: int, at: Frame, chest: Thorax) -> Array:
    """Discoid atelectasis: a band that is not infection."""
    side = float(rng.choice([RIGHT, LEFT]))
    start, end = at.at(side * 0.35, rng.uniform(0.62, 0.8)), at.at(side * 0.75, rng.uniform(0.66, 0.84))
    band = shapes.curve(start, ((start[0] + end[0]) / 2, start[1] + 0.01), end)
    return 0.12 * strokes(size, [band], 0.004) * chest.air


# how often upright, and how often in bed
COVERS: dict[Cover, tuple[float, float]] = {
    _breasts: (0.5, 0.5),
    _nipples: (0.25, 0.25),
    _leads: (0.12, 0.6),
    _lines: (0.03, 0.45),
    _pacemaker: (0.06, 0.06),
    _granuloma: (0.15, 0.15),
    _plate: (0.15, 0.15),
}
