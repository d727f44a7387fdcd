"""Synthetic mammograms: a breast that never was, with benign and malignant masses drawn into it."""

import numpy as np

from mtmed.data.phantom_shapes import Rng, curve, fractal, grid, radius, soft, strokes, wavy
from mtmed.types import Array


def draw(rng: Rng, size: int, finding: str, view: str, laterality: str) -> tuple[Array, list[Array]]:
    """One mammogram.

    Args:
        finding: normal, benign or malignant.
        view: CC, or MLO with the pectoral muscle.
        laterality: L has the chest wall at the left edge of the image, R at the right.

    Returns:
        Brightness [S,S] in about 0..1 and a mask [S,S] bool per mass.
    """
    depth = _depth(rng, size, view)
    muscle = _pectoral(rng, size, view, depth)
    room = np.where(muscle > 0.1, 0, depth)
    tissue = _tissue(rng, size, depth) + muscle
    for _ in range(rng.integers(2, 6)):
        tissue += _distractor(rng, size, room)
    tissue = 0.9 * np.tanh(tissue / 0.9)
    masses = []
    for _ in range(_count(rng, finding)):
        opacity, level, mask = _mass(rng, size, room, finding)
        # a mass takes the place of the tissue it grew in
        tissue += opacity * (np.maximum(level, tissue) - tissue) + 0.1 * opacity * (level - tissue)
        masses.append(mask & (depth > 0))
    image = np.where(depth > 0, tissue, 0) * soft(depth, 0.02) + 0.01
    mirror = slice(None, None, -1) if laterality == "R" else slice(None)
    return image[:, mirror], [mask[:, mirror] for mask in masses]


def _count(rng: Rng, finding: str) -> int:
    """How many masses: malignant ones more often have satellites."""
    if finding == "normal":
        return 0
    return 1 + int(rng.binomial(2, 0.2) if finding == "malignant" else rng.binomial(1, 0.2))


def _depth(rng: Rng, size: int, view: str) -> Array:
    """How far inside the breast a pixel is: 0 on the skin, 1 at the chest wall's centre, negative outside."""
    x, y = grid(size)
    droop = rng.uniform(0.03, 0.1) if view == "MLO" else rng.uniform(-0.02, 0.02)
    reach, half = rng.uniform(0.68, 0.9), rng.uniform(0.4, 0.5)
    outline = radius(x, y - droop * x, (-0.02, 0.5), (reach, half), 0)
    outline *= wavy(rng, np.arctan2(y - 0.5, x + 0.1), range(2, 5), 0.05)
    return 1 - outline


def _tissue(rng: Rng, size: int, depth: Array) -> Array:
    """Fat, a fan of glandular tissue behind the nipple, ducts, vessels and the skin line."""
    x, y = grid(size)
    nipple = (float(x[depth > 0].max()), 0.5 + rng.uniform(-0.04, 0.04))
    thickness = np.sqrt(np.clip(depth, 0, 1))
    cone = radius(x, y, (nipple[0] * rng.uniform(0.5, 0.62), nipple[1]), (0.33, rng.uniform(0.2, 0.3)), 0)
    gland = soft(1 - cone + 0.33 * fractal(rng, size, 2.6), 0.35) * rng.uniform(0.12, 0.32)
    texture = 0.035 * fractal(rng, size, 3.0) + 0.025 * fractal(rng, size, 1.8)
    ducts = [_duct(rng, nipple) for _ in range(rng.integers(9, 16))]
    vessels = [_vessel(rng) for _ in range(rng.integers(2, 5))]
    lines = 0.07 * strokes(size, ducts, 0.004) + 0.12 * strokes(size, vessels, 0.006)
    skin = 0.16 * np.exp(-(((depth - 0.025) / 0.018) ** 2))
    return (0.16 + gland + texture + lines) * (0.25 + 0.75 * thickness**0.6) + skin


def _duct(rng: Rng, nipple: tuple[float, float]) -> Array:
    end = (nipple[0] * rng.uniform(0.1, 0.7), nipple[1] + rng.uniform(-0.32, 0.32))
    bend = ((nipple[0] + end[0]) / 2, nipple[1] + (end[1] - nipple[1]) * rng.uniform(0.1, 0.6))
    return curve(nipple, bend, end)


def _vessel(rng: Rng) -> Array:
    start, end = (0.0, rng.uniform(0.2, 0.8)), (rng.uniform(0.4, 0.7), rng.uniform(0.25, 0.75))
    return curve(start, (rng.uniform(0.1, 0.5), rng.uniform(0.1, 0.9)), end)


def _pectoral(rng: Rng, size: int, view: str, depth: Array) -> Array:
    """The chest's muscle, as bright as a mass: a wedge from above in MLO, a crescent at the wall in CC."""
    x, y = grid(size)
    width, height = rng.uniform(0.36, 0.5), rng.uniform(0.6, 0.9)
    edge = 1 - x / width - y / height
    if view == "CC":
        edge = 1 - x / (0.4 * width) - np.square((y - 0.5) / 0.36)
    bright = rng.uniform(0.85, 1.2) + 0.02 * fractal(rng, size, 2)
    return soft(edge + 0.02 * fractal(rng, size, 3), 0.05) * bright * (depth > 0)


def _place(rng: Rng, size: int, depth: Array, r: float) -> tuple[float, float]:
    """A centre well inside the breast, so that a mass of radius `r` is seen whole."""
    x, y = grid(size)
    inner = (depth > 0.1 + 0.5 * r) & (x > r) & (np.abs(y - 0.5) < 0.5 - r)
    rows, columns = np.nonzero(inner if inner.any() else depth > 0.3)
    pick = rng.integers(len(rows))
    return float(x[0, columns[pick]]), float(y[rows[pick], 0])


def _distractor(rng: Rng, size: int, depth: Array) -> Array:
    """Bright tissue that is no mass: a ragged island, a node with a fatty centre, or dots."""
    x, y = grid(size)
    kind, r = rng.choice(["island", "node", "dots"], p=[0.65, 0.25, 0.1]), rng.uniform(0.05, 0.11)
    centre = _place(rng, size, depth, r)
    if kind == "island":
        q = radius(x, y, centre, (2.4 * r, 0.9 * r), rng.uniform(0, np.pi))
        ragged = soft(0.7 - q + 0.45 * fractal(rng, size, 2.4), 0.4) * np.exp(-(q**2) / 2)
        return rng.uniform(0.15, 0.35) * ragged
    if kind == "node":
        q = radius(x, y, centre, (0.45 * r, 0.3 * r), rng.uniform(0, np.pi))
        return rng.uniform(0.12, 0.3) * (soft(1 - q, 0.3) - 0.5 * soft(0.5 - q, 0.4))
    return 0.3 * _dots(rng, size, centre, r, 7)


def _dots(rng: Rng, size: int, centre: tuple[float, float], spread: float, count: int) -> Array:
    """About `count` calcifications within `spread` of a centre."""
    points = rng.normal(centre, spread / 2, (rng.poisson(count), 2))
    return np.clip(2.2 * strokes(size, [points], 0.005), 0, 1)  # a lone point blurs away where a line does not


def _mass(rng: Rng, size: int, depth: Array, finding: str) -> tuple[Array, Array, Array]:
    """One mass: how much it hides [S,S] 0..1, its own brightness [S,S] and its mask [S,S]."""
    x, y = grid(size)
    malignant = finding == "malignant"
    r = rng.uniform(0.09, 0.16) if malignant else rng.uniform(0.065, 0.13)
    cx, cy = _place(rng, size, depth, r)
    calcifications = np.zeros((size, size))
    theta = np.arctan2(y - cy, x - cx)
    shape = wavy(rng, theta, range(3, 10), 0.3) if malignant else wavy(rng, theta, range(2, 4), 0.06)
    q = radius(x, y, (cx, cy), (r, r * rng.uniform(0.7, 1.0)), rng.uniform(0, np.pi)) / shape
    opacity = 0.9 * soft(1 - q, 0.12 if malignant else 0.07)
    if malignant:
        opacity = np.maximum(opacity, 0.75 * _spicules(rng, size, (cx, cy), r))
        # calcifications fill the segment around the mass, which makes the finding larger than the mask
        calcifications = _dots(rng, size, (cx, cy), 1.8 * r, 34) * (depth > 0.05)
        opacity = np.maximum(opacity, calcifications)
    level = rng.uniform(0.72, 0.88) if malignant else rng.uniform(0.5, 0.62)
    dome = 0.85 + 0.15 * np.sqrt(np.clip(1 - q**2, 0, 1))
    return opacity, level * dome + 0.025 * fractal(rng, size, 2) + 0.4 * calcifications, q < 1


def _spicules(rng: Rng, size: int, centre: tuple[float, float], r: float) -> Array:
    lines = []
    for angle in np.linspace(0, 2 * np.pi, rng.integers(11, 18), endpoint=False) + rng.uniform(0, 0.4):
        towards = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-towards[1], towards[0]]) * rng.normal(0, 0.15) * r
        length = r * rng.uniform(1.6, 2.6)
        start, end = np.array(centre) + 0.6 * r * towards, np.array(centre) + length * towards
        lines.append(curve(tuple(start), tuple((start + end) / 2 + across), tuple(end)))
    return strokes(size, lines, 0.006)
