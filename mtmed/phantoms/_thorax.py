"""A chest that never was, without its bones: body, lungs, heart, great vessels, diaphragm, and what branches within.

Everything is a thickness of water-like tissue that the rays pass, about 0..1.3; the film's tone curve comes last.
The patient's right is at the left of the image. Positions are (X, Y): X from the midline in half-widths of the rib
cage, positive towards the patient's left; Y from the apex of the lungs (0) to where ribs and diaphragm meet (1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtmed.phantoms import _shapes as shapes
from mtmed.phantoms._shapes import Point, Rng, fill, fractal, grid, inset, soft
from mtmed.types import Array

RIGHT, LEFT = -1, 1
# the inner side of the rib cage, from the lung's apex outwards and down
CAGE = (
    *((0.1, 0.12), (0.15, 0.03), (0.27, -0.02), (0.42, 0.02), (0.6, 0.11), (0.79, 0.28)),
    *((0.93, 0.52), (1, 0.78), (0.99, 1), (0.95, 1.3), (0.93, 2)),
)
# the mediastinum's right border from above, vena cava and right atrium
BORDER_RIGHT = (
    *((-0.12, -0.3), (-0.12, 0.08), (-0.16, 0.25), (-0.18, 0.42), (-0.2, 0.52)),
    *((-0.28, 0.64), (-0.32, 0.77), (-0.28, 0.9), (-0.2, 1.1)),
)
# and its left one, aortic knob, pulmonary trunk and left ventricle
BORDER_LEFT = (
    *((0.11, -0.3), (0.12, 0.1), (0.18, 0.2), (0.26, 0.26), (0.28, 0.31), (0.25, 0.37), (0.2, 0.41)),
    *((0.24, 0.46), (0.33, 0.54), (0.45, 0.66), (0.54, 0.78), (0.57, 0.87), (0.54, 0.95), (0.4, 1.1)),
)
HEART_FROM, KNOB = 0.45, (0.2, 0.38)  # Y of the heart's upper border, and of the aortic knob
# half of the diaphragm, from the midline to the costophrenic angle
DOME = ((0, 0.94), (0.2, 0.895), (0.45, 0.86), (0.68, 0.885), (0.85, 0.95), (0.96, 1.05), (1.03, 1.16))


@dataclass(frozen=True)
class Frame:
    """Where the chest is in the image, and how the patient was.

    Attributes:
        middle, apex: x of the midline and y of the lungs' apex; `half`, `tall`: the units of X and Y, in images.
        supine: an AP film of a patient in bed: less air in the lungs, a larger heart, shoulder blades over the lungs.
    """

    middle: float
    apex: float
    half: float
    tall: float
    supine: bool

    def at(self, x: float, y: float) -> Point:
        """A position in the image."""
        return self.middle + x * self.half, self.apex + y * self.tall

    def path(self, points: Sequence[Point], side: int = LEFT, count: int = 160) -> Array:
        """A smooth line [count,2] through positions; mirrored for the patient's right."""
        return shapes.through([self.at(side * x, y) for x, y in points], count)


@dataclass(frozen=True)
class Thorax:
    """The soft parts.

    Attributes:
        thickness: of all soft tissue, [S,S].
        lungs: where a reader would draw them, the right and the left, [2,S,S] bool.
        air: how much of a pixel shows lung, [S,S] 0..1.
        cage: depth inside the rib cage, [S,S] in images.
    """

    thickness: Array
    lungs: Array
    air: Array
    cage: Array


def frame(rng: Rng, supine: bool) -> Frame:
    """A patient before the detector; in bed nobody breathes in as deeply."""
    if supine:
        return Frame(
            middle=rng.uniform(0.45, 0.55),
            apex=rng.uniform(0.1, 0.19),
            half=rng.uniform(0.31, 0.39),
            tall=rng.uniform(0.53, 0.66),
            supine=True,
        )
    return Frame(
        middle=rng.uniform(0.465, 0.535),
        apex=rng.uniform(0.045, 0.12),
        half=rng.uniform(0.34, 0.43),
        tall=rng.uniform(0.64, 0.78),
        supine=False,
    )


def soft_parts(rng: Rng, size: int, at: Frame) -> Thorax:
    """Everything but the bones."""
    sides = [np.concatenate([at.path(CAGE, side, 240), [at.at(0, 2), at.at(0, 0.12)]]) for side in (RIGHT, LEFT)]
    cages = [fill(size, [side]) for side in sides]
    heart, belly = _mediastinum(rng, size, at), _abdomen(rng, size, at)
    fields = np.stack([cage * (1 - heart) * (1 - belly) for cage in cages])
    cage, air = inset(np.maximum(*cages) > 0.5), fields.max(axis=0)
    above = _body(rng, size, at, cage) + _thick(heart) * soft(grid(size)[1] - at.apex, 0.04)
    below = belly * (cage > 0) * (0.7 + 0.3 * soft(cage - 0.09, 0.06)) - _stomach(rng, size, at, belly)
    solid = np.where(below > above, below, above)
    solid += air * (0.012 * fractal(rng, size, 2.2) + _vessels(rng, size, at))
    solid -= np.minimum(_airways(rng, size, at), 0.6 * solid)
    return Thorax(solid, fields > 0.5, air, cage)


def _thick(heart: Array) -> Array:
    """How thick the mediastinum is, [S,S]: it is round, so its border is thin."""
    return heart * (0.23 + 0.27 * np.sqrt(np.clip(inset(heart > 0.5) / 0.13, 0, 1)))


def _body(rng: Rng, size: int, at: Frame, cage: Array) -> Array:
    """Neck, shoulders and the chest's wall, thick where the rays graze it; [S,S]."""
    neck, flank, axilla = rng.uniform(0.075, 0.095), rng.uniform(1.12, 1.22) * at.half, rng.uniform(0.42, 0.5)
    border = [(neck, -0.05), (1.1 * neck, at.apex - 0.07), (0.2, at.apex - 0.035), (0.36, at.apex)]
    if at.supine:
        border += [(0.47, at.apex + 0.05), (0.5, at.apex + 0.3), (0.46, 1.05)]
    else:  # the arms are turned away from the chest
        border += [(0.56, at.apex + 0.05), (0.56, axilla - 0.12)]
        border += [(flank + 0.04, axilla), (flank + 0.005, axilla + 0.1), (flank, 1.05)]
    sides = [shapes.through([(at.middle + side * x, y) for x, y in border], 200) for side in (RIGHT, LEFT)]
    body = fill(size, [np.concatenate([sides[0], sides[1][::-1]])])
    rounded = np.clip(inset(body > 0.5) / 0.04, 0, 1) ** 0.35
    outside = 0.7 - 0.2 * soft(at.apex - 0.03 - grid(size)[1], 0.05)  # the neck is thinner
    wall = np.where(cage > 0, 0.34 + 0.22 * np.exp(-cage / 0.035), outside)
    return rounded * (wall + 0.02 * fractal(rng, size, 3.2)) * body


def _mediastinum(rng: Rng, size: int, at: Frame) -> Array:
    """Heart and great vessels, [S,S] 0..1; nearer the tube, and lying, they look wider."""
    wide = rng.uniform(1.12, 1.35) if at.supine else rng.uniform(0.88, 1.1)
    knob, rise = rng.uniform(0.85, 1.2), 0.04 if at.supine else 0.0

    def swollen(x: float, y: float) -> Point:
        factor = wide if y > HEART_FROM else knob if KNOB[0] < y < KNOB[1] and x > 0 else 1
        return factor * x, y - rise

    right, left = ([swollen(x, y) for x, y in border] for border in (BORDER_RIGHT, BORDER_LEFT))
    return fill(size, [np.concatenate([at.path(right), at.path(left)[::-1]])])


def _abdomen(rng: Rng, size: int, at: Frame) -> Array:
    """Everything below the diaphragm, [S,S] 0..1; its right half stands higher, over the liver."""
    outlines = []
    for side, drop in ((RIGHT, 0.0), (LEFT, rng.uniform(0.02, 0.06))):
        flat = 1 - rng.uniform(0.6, 1.15)
        dome = [(x, y + (1 - y) * flat * (y < 1) + drop * min(1, 4 * x) * (x < 1)) for x, y in DOME]
        outlines.append(np.concatenate([at.path(dome, side), [at.at(side * 1.03, 2), at.at(0, 2)]]))
    return fill(size, outlines)


def _stomach(rng: Rng, size: int, at: Frame, belly: Array) -> Array:
    """The bubble under the left half of the diaphragm; upright, a level of fluid cuts it off below."""
    x, y = grid(size)
    centre = at.at(rng.uniform(0.4, 0.6), rng.uniform(1.02, 1.1))
    axes = rng.uniform(0.05, 0.09), rng.uniform(0.03, 0.05)
    level = 1.0 if at.supine else soft(centre[1] + 0.012 - y, 0.004)
    gas = rng.uniform(0.2, 0.4) * (rng.random() < 0.65)
    return gas * soft(1 - shapes.radius(x, y, centre, axes, 0), 0.12) * level * belly


def _vessels(rng: Rng, size: int, at: Frame) -> Array:
    """Pulmonary vessels from both hila, [S,S]: most of them below, thin towards the edge; the left hilum is higher."""
    trunks, twigs = [], []
    for side in (RIGHT, LEFT):
        hilum = at.at(side * rng.uniform(0.2, 0.24), 0.47 - 0.04 * (side == LEFT))
        outwards = 0 if side == LEFT else np.pi
        trunks.append((hilum, outwards + side * rng.uniform(1.0, 1.25), 0.15 * at.tall, 0.018))
        for turn in np.concatenate([rng.uniform(-1.3, 0, 4), rng.uniform(0, 1.4, 6)]):
            start = (hilum[0] + rng.normal(0, 0.006), hilum[1] + rng.uniform(-0.03, 0.05))
            twigs.append((start, outwards + side * turn, rng.uniform(0.08, 0.15) * at.tall, 0.0115))
    arteries, others = shapes.tree(rng, trunks, 5, 0.45), shapes.tree(rng, twigs, 4, 0.5)
    return 6 * (shapes.vessels(size, arteries) + shapes.vessels(size, others))


def _airways(rng: Rng, size: int, at: Frame) -> Array:
    """Trachea and main bronchi, [S,S]: air in front of the spine; the right bronchus is the steeper one."""
    bend, wide = rng.uniform(-0.03, 0.0), rng.uniform(0.011, 0.014)
    carina = at.at(0.02 + bend, 0.4)
    trachea = at.path([(0, -0.3), (0, 0), (bend, 0.28), (0.02 + bend, 0.4)])
    right = shapes.curve(carina, at.at(-0.1, 0.46), at.at(-0.2, 0.52))
    left = shapes.curve(carina, at.at(0.12, 0.46), at.at(0.26, 0.49))
    tubes = 0.26 * shapes.strokes(size, [trachea], wide)
    return tubes + 0.16 * shapes.strokes(size, [right, left], 0.7 * wide)
