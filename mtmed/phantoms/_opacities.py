"""What pneumonia adds to a lung: a consolidated lobe, scattered patches, or haze; (thickness [S,S], mask [S,S] bool).

The patterns are those of the Fleischner Society's glossary (Radiology 2008;246:697): consolidation hides vessels and
shows air-filled bronchi, ground glass hides neither.
"""

import numpy as np

from mtmed.phantoms import _shapes as shapes
from mtmed.phantoms._shapes import Point, Rng, fractal, grid, place, radius, soft
from mtmed.phantoms._thorax import LEFT, RIGHT, Frame, Thorax
from mtmed.types import Array

Found = list[tuple[Array, Array]]
FISSURE = 0.46  # Y of the right lung's horizontal fissure
# of each lobe: its side, middle and half-axes in (X, Y), and whether it ends at the fissure: above it, below it, no
LOBES: tuple[tuple[int, Point, Point, int], ...] = (
    (RIGHT, (0.55, 0.24), (0.42, 0.3), -1),
    (RIGHT, (0.38, 0.66), (0.32, 0.24), 1),
    (RIGHT, (0.55, 0.78), (0.46, 0.27), 0),
    (LEFT, (0.5, 0.3), (0.4, 0.34), 0),
    (LEFT, (0.6, 0.8), (0.44, 0.26), 0),
)


def lobar(rng: Rng, size: int, at: Frame, chest: Thorax) -> Found:
    """One lobe, or a part of it, filled up to its fissure."""
    x, y = grid(size)
    side, (cx, cy), (wide, high), below = LOBES[rng.integers(len(LOBES))]
    part = rng.uniform(0.7, 1.05)
    middle = at.at(side * (cx + rng.normal(0, 0.05)), cy + rng.normal(0, 0.04))
    q = radius(x, y, middle, (part * wide * at.half, part * high * at.tall), rng.uniform(-0.3, 0.3))
    filled = soft(1 - q + 0.16 * fractal(rng, size, 3.4), 0.28)
    fissure = at.apex + FISSURE * at.tall + rng.uniform(-0.1, 0.1) * (x - middle[0])
    if below:
        filled = filled * soft((y - fissure) * below, 0.004)
    thick = rng.uniform(0.4, 0.62) * (1 + 0.1 * fractal(rng, size, 2.6)) - _bronchi(rng, size, at, side, middle)
    lung = chest.lungs[0 if side == RIGHT else 1]
    return [(filled * lung * np.clip(thick, 0.05, None), (filled > 0.4) & lung)]


def _bronchi(rng: Rng, size: int, at: Frame, side: int, middle: Point) -> Array:
    """The air bronchogram of a lobe around `middle`: what a tree of air takes away, [S,S]."""
    hilum = at.at(side * 0.22, 0.46)
    heading = float(np.arctan2(middle[1] - hilum[1], middle[0] - hilum[0]))
    return 5 * shapes.vessels(size, shapes.tree(rng, [(hilum, heading, 0.13 * at.tall, 0.009)], 4, 0.45))


def patchy(rng: Rng, size: int, at: Frame, chest: Thorax) -> Found:
    """Bronchopneumonia: fuzzy patches of one to three centimetres around the bronchi of one or both lungs."""
    y = grid(size)[1]
    found = []
    for lung in _lungs(rng, chest, both=0.4):
        zone = place(rng, lung * (y > at.apex + 0.3 * at.tall))
        patches = np.max([_patch(rng, size, zone) for _ in range(rng.integers(4, 9))], axis=0)
        filled = np.clip(patches * (1 + 0.25 * fractal(rng, size, 2.4)), 0, 1.2) * lung
        found.append((rng.uniform(0.38, 0.58) * filled, (patches > 0.42) & lung))
    return found


def _patch(rng: Rng, size: int, zone: Point) -> Array:
    """One patch near `zone`, [S,S] 0..1."""
    x, y = grid(size)
    middle, r = (zone[0] + rng.normal(0, 0.035), zone[1] + rng.normal(0, 0.05)), rng.uniform(0.032, 0.06)
    q = radius(x, y, middle, (r, r * rng.uniform(0.7, 1.3)), rng.uniform(0, np.pi))
    return rng.uniform(0.7, 1) * np.exp(-0.7 * q**2)


def ground_glass(rng: Rng, size: int, at: Frame, chest: Thorax) -> Found:
    """Haze, most of it low and at the edge of one or both lungs; vessels are seen through it."""
    x, y = grid(size)
    found = []
    for lung in _lungs(rng, chest, both=0.5):
        middle = place(rng, lung * (y > at.apex + 0.4 * at.tall) * (chest.cage < 0.09))
        q = radius(x, y, middle, (rng.uniform(0.07, 0.11), rng.uniform(0.11, 0.18)), rng.uniform(-0.4, 0.4))
        filled = soft(1 - q + 0.25 * fractal(rng, size, 3.6), 0.4) * lung
        veil = rng.uniform(0.24, 0.36) * (1 + 0.25 * fractal(rng, size, 1.8))
        found.append((filled * np.clip(veil, 0, None), filled > 0.4))
    return found


def _lungs(rng: Rng, chest: Thorax, both: float) -> Array:
    """One lung or, with a probability, both, in any order: [1 or 2,S,S] bool."""
    return chest.lungs[rng.permutation(2)[: 1 + (rng.random() < both)]]


PATTERNS = {lobar: 0.45, patchy: 0.35, ground_glass: 0.2}
