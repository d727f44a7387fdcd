"""The bones of a chest film: ribs, spine, clavicles, shoulder blades and arms, as added thickness [S,S].

Rays that graze a cortex pass most of it: dense lines outline every bone.
"""

import numpy as np

from mtmed.phantoms._shapes import Rng, fill, fractal, grid, line, offset, soft, strokes
from mtmed.phantoms._thorax import CAGE, LEFT, RIGHT, Frame
from mtmed.types import Array

RIBS, FRONTS = 10, 7  # pairs that are seen, and those with a bony front end
TURN = 160  # points of a rib
BACK, FRONT = slice(0, 96), slice(76, None)  # the parts of a rib that lie behind the lung and before it


def bones(rng: Rng, size: int, at: Frame) -> Array:
    """All of them."""
    return _ribs(rng, size, at) + _spine(rng, size, at) + _clavicles(rng, size, at) + _shoulders(rng, size, at)


def _ribs(rng: Rng, size: int, at: Frame) -> Array:
    height, steep, strength = rng.uniform(0.011, 0.014), rng.uniform(0.9, 1.15), rng.uniform(0.55, 0.95)
    back, front, edges = [], [], []
    for side in (RIGHT, LEFT):
        for n in range(RIBS):
            upper, lower = _rib(rng, at, side, n, height, steep)
            back.append(np.concatenate([upper[BACK], lower[BACK][::-1]]))
            if n < FRONTS:
                front.append(np.concatenate([upper[FRONT], lower[FRONT][::-1]]))
            seen = slice(0, 150 if n < FRONTS else BACK.stop)
            edges += [upper[seen], lower[seen]]
    return strength * (0.07 * fill(size, back, 2) + 0.05 * fill(size, front, 2) + 0.05 * strokes(size, edges, 0.0016))


def _rib(rng: Rng, at: Frame, side: int, n: int, height: float, steep: float) -> tuple[Array, Array]:
    """The upper and the lower cortex [160,2] of rib `n`, from the spine around to the front.

    A rib is a loop that falls forwards: from before, its back is nearly level and its front steep.
    """
    turn = np.linspace(0.1, rng.uniform(2.45, 2.7), TURN)
    fall = steep * np.interp(n, [0, 2, 5, 10], [0.2, 0.34, 0.44, 0.42])
    start = -0.04 + 0.105 * n
    y = start - 0.03 * np.sin(np.minimum(2 * turn, np.pi)) + fall * (1 - np.cos(turn)) / 2
    cage = np.array(CAGE[2:])
    x = (0.01 + np.interp(start + fall / 2, cage[:, 1], cage[:, 0])) * np.sin(turn) ** 0.9
    loop = np.stack([at.middle + side * at.half * x, at.apex + at.tall * y], axis=1)
    end = np.clip(3 * (1 - turn / turn[-1]) + 0.5, 0, 1)
    width = height * (0.55 + 0.45 * np.abs(np.cos(turn))) * end
    return offset(loop, width), offset(loop, -width)


def _spine(rng: Rng, size: int, at: Frame) -> Array:
    """Vertebral bodies with their end plates, pedicles and spinous processes."""
    x, y = grid(size)
    step = rng.uniform(0.098, 0.112) * at.tall
    bow = at.middle + rng.normal(0, 0.006) * np.sin(np.pi * y)
    column = soft(0.034 + 0.012 * y - np.abs(x - bow), 0.006)
    phase = np.mod((y - at.apex) / step + 0.5, 1) - 0.5  # 0 in the middle of a vertebra, 0.5 in a disc
    plates = line(np.abs(phase) - 0.42, 0.06) - 0.8 * line(np.abs(phase) - 0.5, 0.05)
    pedicles = line(np.abs(x - bow) - 0.02, 0.005) * line(phase + 0.15, 0.12)
    process = line(x - bow, 0.005) * line(phase - 0.2, 0.2)
    return column * (0.13 + 0.035 * plates + 0.05 * (pedicles + process) + 0.01 * fractal(rng, size, 2.4))


def _clavicles(rng: Rng, size: int, at: Frame) -> Array:
    tilt = rng.uniform(-0.05, 0.02) if at.supine else rng.uniform(-0.02, 0.05)
    points = ((0.1, 0.15), (0.35, 0.13 - 0.5 * tilt), (0.75, 0.05 - tilt), (1.05, -tilt), (1.25, 0.01 - tilt))
    width = np.interp(np.arange(160), [0, 25, 80, 159], [0.017, 0.011, 0.0095, 0.013])
    middles = [at.path(points, side) for side in (RIGHT, LEFT)]
    edges = [(offset(middle, width), offset(middle, -width)) for middle in middles]
    bodies = [np.concatenate([upper, lower[::-1]]) for upper, lower in edges]
    return 0.12 * fill(size, bodies) + 0.07 * strokes(size, [edge for pair in edges for edge in pair], 0.002)


def _shoulders(rng: Rng, size: int, at: Frame) -> Array:
    """Shoulder blades with their spines, and arms; upright, the blades are turned out of the lungs."""
    inner = rng.uniform(0.62, 0.75) if at.supine else rng.uniform(0.86, 1.0)
    joint = (1.2, 0.1)
    blade = (joint, (1.05, 0.3), (inner + 0.12, 0.52), (inner + 0.02, 0.4), (inner, 0.15), (inner + 0.1, 0.05), joint)
    ridge = ((inner, 0.17), (1.0, 0.08), (1.22, 0.0))
    head = (1.26, -0.01)
    arm = (head, (1.42, 0.0), (1.5, 0.12), (1.46, 0.3), (1.55, 2), (1.4, 2), (1.32, 0.32), (1.22, 0.12), head)
    blades, ridges, arms = ([at.path(points, side) for side in (RIGHT, LEFT)] for points in (blade, ridge, arm))
    edges = strokes(size, [*blades, *ridges, *arms], 0.004)
    return 0.06 * fill(size, blades, 2) + 0.1 * fill(size, arms, 2) + 0.05 * edges
