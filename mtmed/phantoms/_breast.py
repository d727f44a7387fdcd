"""A compressed breast that never was: its outline, fat, glandular tissue, ligaments, ducts, vessels and muscle.

Drawn as a left breast: the chest wall at x = 0. Brightness is what a film of it shows, about 0..1.
"""

from dataclasses import dataclass

import numpy as np

from mtmed.phantoms import _shapes as shapes
from mtmed.phantoms._shapes import Point, Rng, fractal, grid, line, sample, soft
from mtmed.types import Array

# of each BI-RADS density: how much of the cone is fat, how far the cone reaches, how bright gland is
GLAND = {"a": (0.62, 0.85, 0.22), "b": (0.3, 0.95, 0.27), "c": (-0.06, 1.05, 0.31), "d": (-0.4, 1.15, 0.32)}
FAT = 0.33


@dataclass(frozen=True)
class Breast:
    """What tissue and lesions are placed in.

    Attributes:
        inside: how much of a pixel is breast, [S,S] 0..1.
        depth: distance from the skin, [S,S] in images, 0 outside.
        thickness: of the compressed breast, [S,S] 0..1; it falls off towards the skin.
        muscle: the pectoral muscle's brightness, [S,S].
        nipple: where it is.
    """

    inside: Array
    depth: Array
    thickness: Array
    muscle: Array
    nipple: Point


def shape(rng: Rng, size: int, view: str) -> Breast:
    """A breast in a view: CC, or MLO with the axilla above and the fold below."""
    outline, nipple = _mlo(rng) if view == "MLO" else _cc(rng)
    inside = shapes.fill(size, [outline, _nipple(rng, nipple)])
    depth = shapes.inset(inside > 0.5)
    rounded = np.clip(depth / rng.uniform(0.12, 0.17), 0, 1)
    thickness = np.sqrt(1 - np.square(1 - rounded))
    muscle = _muscle_behind(rng, size) if view == "CC" else _muscle_above(rng, size)
    return Breast(inside, depth, thickness, muscle * inside, nipple)


def _cc(rng: Rng) -> tuple[Array, Point]:
    """The outline [P,2] seen from above, and the nipple at its tip."""
    reach, half, middle = rng.uniform(0.58, 0.82), rng.uniform(0.4, 0.49), rng.uniform(0.48, 0.52)
    t = np.linspace(-np.pi / 2, np.pi / 2, 200)
    skew = 1 + rng.uniform(-0.12, 0.12) * np.sin(t)
    x, y = reach * np.cos(t) ** rng.uniform(0.75, 1.0) * skew, middle + half * np.sin(t)
    tip = int(np.argmax(x))
    wall = np.array([[-0.1, y[-1]], [-0.1, y[0]]])
    return np.concatenate([np.stack([x, y], axis=1), wall]), (float(x[tip]), float(y[tip]))


def _mlo(rng: Rng) -> tuple[Array, Point]:
    """The outline [P,2] seen obliquely: from the axilla over the nipple to the fold and the abdomen's skin."""
    reach, tip = rng.uniform(0.6, 0.82), rng.uniform(0.52, 0.64)
    axilla, fold = rng.uniform(0.3, 0.46), rng.uniform(0.9, 0.97)
    points = [
        (axilla, -0.03),
        (axilla + 0.1 * (reach - axilla), 0.12),
        (axilla + rng.uniform(0.5, 0.7) * (reach - axilla), 0.6 * tip),
        (reach, tip),
        (reach * rng.uniform(0.82, 0.9), tip + 0.55 * (fold - tip)),
        (reach * rng.uniform(0.42, 0.55), fold - 0.035),
        (rng.uniform(0.05, 0.1), fold),
        (rng.uniform(0.06, 0.12), 1.03),
    ]
    wall = np.array([[-0.1, 1.03], [-0.1, -0.03]])
    return np.concatenate([shapes.through(points, 300), wall]), (reach, tip)


def _nipple(rng: Rng, at: Point) -> Array:
    t = np.linspace(0, 2 * np.pi, 40)
    long, wide = rng.uniform(0.012, 0.022), rng.uniform(0.022, 0.03)
    return np.stack([at[0] + long * np.cos(t), at[1] + wide * np.sin(t)], axis=1)


def _muscle_behind(rng: Rng, size: int) -> Array:
    """CC shows the pectoral muscle of most, as a crescent at the wall; [S,S]."""
    x, y = grid(size)
    bulge = 1 - np.square((y - rng.uniform(0.45, 0.55)) / rng.uniform(0.2, 0.35))
    return rng.uniform(0.5, 0.7) * (rng.random() < 0.7) * soft(rng.uniform(0.05, 0.12) * bulge - x, 0.012)


def _muscle_above(rng: Rng, size: int) -> Array:
    """MLO shows the pectoral muscle as a triangle from above, thinner below; [S,S]."""
    x, y = grid(size)
    wide, tall, belly = rng.uniform(0.26, 0.4), rng.uniform(0.5, 0.8), rng.uniform(-0.02, 0.05)
    along = np.clip(y / tall, 0, 1)
    edge = wide * (1 - along) + belly * np.sin(np.pi * along) - x + 0.004 * fractal(rng, size, 3.2)
    bright = rng.uniform(0.5, 0.7) * (1 - 0.2 * along) + 0.015 * fractal(rng, size, 2.8, 0.5)
    return soft(edge, 0.008) * bright * (y < tall)


def tissue(rng: Rng, size: int, breast: Breast, density: str) -> tuple[Array, Array]:
    """The healthy breast [S,S] before it is exposed, and how much of it is gland [S,S] 0..1."""
    u, v = _from_nipple(rng, size, breast.nipple)
    gland = _gland(rng, size, breast, density, u, v)
    fat = FAT + 0.02 * fractal(rng, size, 3.4) + _strands(rng, size, u, v) * (0.05 + 0.06 * gland)
    soft_tissue = fat + GLAND[density][2] * gland + _ducts(rng, size, breast.nipple) + _vessels(rng, size)
    thick = soft_tissue * breast.thickness + breast.muscle * (0.4 + 0.6 * breast.thickness)
    return thick + 0.07 * line(breast.depth - 0.004, 0.004) * breast.inside, gland


def _from_nipple(rng: Rng, size: int, nipple: Point) -> tuple[Array, Array]:
    """Texture coordinates [S,S]: distance from the nipple and angle around it, both bent a little."""
    x, y = grid(size)
    dx, dy = nipple[0] + 0.06 - x, y - nipple[1]
    far = np.hypot(dx, dy) + 0.02 * fractal(rng, size, 4.0)
    turn = np.arctan2(dy, dx) + 0.13 * fractal(rng, size, 4.0)
    return far, turn / (2 * np.pi)


def _gland(rng: Rng, size: int, breast: Breast, density: str, u: Array, v: Array) -> Array:
    """How much of a pixel is fibroglandular, [S,S] 0..1: a cone behind the nipple with lobules of fat in it."""
    scarce, wide, _ = GLAND[density]
    x, y = grid(size)
    tip = breast.nipple
    middle = (tip[0] * rng.uniform(0.55, 0.65), tip[1] + rng.uniform(-0.07, 0.01))
    q = shapes.radius(x, y, middle, (tip[0] * 0.42 * wide, 0.27 * wide), rng.uniform(-0.3, 0.3))
    lumps = 0.28 * sample(fractal(rng, size, 3.2), u * 1.2, v * 6) + 0.3 * fractal(rng, size, 3.3)
    under_skin = np.clip(1 - (breast.depth + 0.03 * lumps) / 0.07, 0, 1)  # there is only fat
    inside = soft(1 - q + lumps - scarce, 0.33) * soft(1.25 - q + 0.2 * lumps, 0.2) * (1 - under_skin)
    wisps = sample(fractal(rng, size, 2.6), u * 1.4, v * 8)
    return inside * np.clip(0.75 + 0.2 * wisps, 0.2, 1.4)


def _strands(rng: Rng, size: int, u: Array, v: Array) -> Array:
    """Septa and Cooper's ligaments, [S,S] about 0..1: thin bent lines, most of them towards the nipple."""
    towards, across = sample(fractal(rng, size, 3.2), u * 1.6, v * 10), fractal(rng, size, 3.4)
    fading = 0.5 + 0.5 * np.clip(fractal(rng, size, 3.0), -1, 1.5)
    return fading * (line(towards, 0.16) + 0.6 * line(across, 0.07)) + 0.3 * line(towards - 0.8, 0.3) - 0.3


def _ducts(rng: Rng, size: int, nipple: Point) -> Array:
    """Milk ducts: they meet at the nipple and fork away from it, [S,S]."""
    headings = np.pi + np.linspace(-0.8, 0.8, rng.integers(5, 9)) + rng.normal(0, 0.08)
    roots = [((nipple[0] - 0.005, nipple[1]), turn, rng.uniform(0.06, 0.14), 0.008) for turn in headings]
    return 7 * shapes.vessels(size, shapes.tree(rng, roots, 3, 0.35))


def _vessels(rng: Rng, size: int) -> Array:
    """Veins and arteries from the chest's wall, [S,S]."""
    roots = [
        ((-0.02, rng.uniform(0.15, 0.8)), rng.uniform(-0.5, 0.5), rng.uniform(0.2, 0.3), 0.009)
        for _ in range(rng.integers(2, 5))
    ]
    return 8 * shapes.vessels(size, shapes.tree(rng, roots, 2, 0.3))
