"""Synthetic chest films: a torso that never was, with fuzzy opacities drawn into its lungs."""

import numpy as np

from mtmed.data.phantom_shapes import Rng, curve, fractal, grid, radius, soft, strokes, wavy
from mtmed.types import Array


def draw(rng: Rng, size: int, finding: str) -> tuple[Array, list[Array]]:
    """One frontal chest film.

    Args:
        finding: normal or pneumonia.

    Returns:
        Brightness [S,S] in about 0..1 and a mask [S,S] bool per opacity.
    """
    lungs = _lungs(rng, size)
    image = _torso(rng, size) * (1 - lungs) + lungs * (0.2 + 0.02 * fractal(rng, size, 2.4))
    image += _vessels(rng, size) * lungs + _bones(rng, size)
    image = _mediastinum(rng, size, image)
    opacities = []
    for _ in range(0 if finding == "normal" else rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15])):
        bump, mask = _opacity(rng, size, lungs)
        image += bump * np.clip(0.85 - image, 0.1, 1)
        opacities.append(mask)
    return image + _distractors(rng, size) + 0.012 * fractal(rng, size, 2.5), opacities


def _torso(rng: Rng, size: int) -> Array:
    x, y = grid(size)
    half = np.clip(0.1 + 0.55 * soft(y - rng.uniform(0.08, 0.13), 0.1), 0, rng.uniform(0.44, 0.5))
    inside = half - np.abs(x - 0.5)
    return soft(inside, 0.015) * (0.5 + 0.14 * soft(inside - 0.06, 0.06) + 0.03 * fractal(rng, size, 3))


def _lungs(rng: Rng, size: int) -> Array:
    """How much lung a pixel shows, [S,S] 0..1; the left lung of the patient is at the right of the image."""
    x, y = grid(size)
    lungs = np.zeros((size, size))
    top, height, inner = rng.uniform(0.12, 0.18), rng.uniform(0.33, 0.4), rng.uniform(0.17, 0.19)
    for side in (-1, 1):
        cx, base = 0.5 + side * (inner + rng.uniform(0, 0.02)), top + 2 * height * rng.uniform(0.82, 0.9)
        wide = rng.uniform(0.125, 0.15) * (0.7 + 0.45 * np.clip((y - top) / (2 * height), 0, 1))
        q = radius((x - cx) / wide, (y - top - height) / height, (0, 0), (1, 1), 0)
        dome = base + 0.09 * np.abs((x - cx) / 0.15) ** 2 - y
        lungs = np.maximum(lungs, soft(1 - q, 0.09) * soft(dome + 0.02, 0.015))
    return lungs


def _vessels(rng: Rng, size: int) -> Array:
    """Branches from both hila: the normal bright markings of a lung."""
    lines = []
    for side in (-1, 1):
        hilum = (0.5 + side * 0.09, rng.uniform(0.42, 0.48))
        for angle in rng.uniform(-1.5, 1.5, 20):
            reach = rng.uniform(0.08, 0.22)
            end = (hilum[0] + side * reach * np.cos(angle), hilum[1] + 1.3 * reach * np.sin(angle))
            middle = ((hilum[0] + end[0]) / 2, (hilum[1] + end[1]) / 2 + rng.normal(0, 0.02))
            lines.append(curve(hilum, middle, end))
    return 0.08 * strokes(size, lines, 0.005) + 0.06 * strokes(size, lines, 0.02)


def _bones(rng: Rng, size: int) -> Array:
    """Ribs that fall away to the sides, and the clavicles."""
    ribs, clavicles = [], []
    step, first = rng.uniform(0.075, 0.085), rng.uniform(0.12, 0.16)
    for side in (-1, 1):
        for n in range(9):
            y = first + n * step
            outer = 0.5 + side * (0.24 + 0.16 * min(n, 4) / 4)
            ribs.append(curve((0.5 + side * 0.03, y), (0.5 + side * 0.26, y - 0.06), (outer, y + 0.11)))
        tilt = rng.uniform(0.02, 0.05)
        clavicles.append(curve((0.5 + side * 0.05, 0.2), (0.5 + side * 0.2, 0.17), (0.5 + side * 0.4, 0.2 - tilt)))
    edges = strokes(size, ribs, 0.011) - 0.35 * strokes(size, ribs, 0.005)
    return rng.uniform(0.06, 0.1) * edges + 0.11 * strokes(size, clavicles, 0.013)


def _mediastinum(rng: Rng, size: int, image: Array) -> Array:
    x, y = grid(size)
    wide, tall = rng.uniform(0.17, 0.22), rng.uniform(0.12, 0.15)
    heart = radius(x, y, (rng.uniform(0.54, 0.57), 0.7), (wide, tall), rng.uniform(0.5, 0.7))
    band = soft(rng.uniform(0.06, 0.075) - np.abs(x - 0.505), 0.02)
    dense = np.maximum(soft(1 - heart, 0.08), band)
    image = image * (1 - dense) + dense * (rng.uniform(0.64, 0.72) + 0.02 * fractal(rng, size, 2.5))
    vertebrae = band * (0.04 + 0.03 * np.cos(2 * np.pi * y / 0.07))
    trachea = 0.2 * np.exp(-(((x - 0.5) / 0.02) ** 2)) * soft(0.36 - y, 0.03)
    bubble = radius(x, y, (rng.uniform(0.63, 0.7), 0.9), (0.06, 0.03), 0)
    return image + vertebrae - trachea - 0.22 * rng.integers(2) * soft(1 - bubble, 0.2)


def _opacity(rng: Rng, size: int, lungs: Array) -> tuple[Array, Array]:
    """One consolidation: what it adds [S,S] (0..1, before attenuation) and its mask [S,S]."""
    x, y = grid(size)
    rows, columns = np.nonzero(lungs > 0.9)
    pick = rng.integers(len(rows))
    cx, cy, r = x[0, columns[pick]], y[rows[pick], 0], rng.uniform(0.07, 0.16)
    ragged = wavy(rng, np.arctan2(y - cy, x - cx), range(2, 7), 0.25)
    q = radius(x, y, (cx, cy), (r, r * rng.uniform(0.7, 1.2)), rng.uniform(0, np.pi)) / ragged
    profile = soft(1 - q + 0.12 * fractal(rng, size, 2.2), 0.3) * lungs
    return rng.uniform(0.5, 0.9) * profile, (q < 1.0) & (lungs > 0.4)


def _distractors(rng: Rng, size: int) -> Array:
    """Bright things that mean nothing: nipple shadows, breast shadows, leads, a pacemaker, a side marker."""
    x, y = grid(size)
    height = rng.uniform(0.6, 0.7)
    extra = np.zeros((size, size))
    for side in (-1, 1):
        breast = radius(x, y, (0.5 + side * 0.24, height + 0.08), (0.16, 0.14), 0)
        extra += rng.uniform(0, 0.07) * soft(1 - breast, 0.15)
        nipple = radius(x, y, (0.5 + side * 0.26, height), (0.018, 0.018), 0)
        extra += 0.14 * rng.integers(2) * soft(1 - nipple, 0.3)
    leads = [_lead(rng) for _ in range(rng.choice([0, 1, 2, 3], p=[0.5, 0.2, 0.2, 0.1]))]
    extra += 0.22 * strokes(size, leads, 0.003)
    for lead in leads:
        extra += 0.2 * soft(1 - radius(x, y, tuple(lead[-1]), (0.018, 0.018), 0), 0.2)
    if rng.random() < 0.15:
        pacemaker = radius(x, y, (0.76, 0.24), (0.06, 0.045), 0.3)
        extra += 0.35 * soft(1 - pacemaker, 0.06)
    marker = radius(x, y, (0.06, 0.07), (0.02, 0.03), 0)
    return extra + 0.7 * rng.integers(2) * (np.abs(marker - 0.8) < 0.3)


def _lead(rng: Rng) -> Array:
    start, end = (rng.uniform(0.1, 0.9), 1.0), (rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.75))
    return curve(start, (rng.uniform(0.1, 0.9), rng.uniform(0.4, 0.9)), end)
