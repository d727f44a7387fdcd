"""What phantom anatomy is drawn with: coordinates, textures, soft shapes, strokes; lengths in images."""

import numpy as np
from scipy.ndimage import gaussian_filter

from mtmed.types import Array

Rng = np.random.Generator


def grid(size: int) -> tuple[Array, Array]:
    """Pixel centres as x [S,S] and y [S,S] in 0..1, origin top left."""
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    return x, y


def fractal(rng: Rng, size: int, exponent: float) -> Array:
    """Noise [S,S] of mean 0 and deviation 1 whose power falls as 1/frequency^exponent (tissue is near 3)."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * frequency ** (-exponent / 2)
    noise = np.fft.irfft2(spectrum, s=(size, size))
    return (noise - noise.mean()) / noise.std()


def soft(distance: Array, width: float) -> Array:
    """A step from 0 to 1 where `distance` turns positive, `width` wide."""
    return 0.5 + 0.5 * np.tanh(distance / width)


def radius(x: Array, y: Array, centre: tuple[float, float], axes: tuple[float, float], angle: float) -> Array:
    """The distance from `centre` measured in the half-axes of a turned ellipse: 1 on its outline."""
    dx, dy = x - centre[0], y - centre[1]
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / axes[0]
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / axes[1]
    return np.hypot(u, v)


def wavy(rng: Rng, angle: Array, orders: range, amplitude: float) -> Array:
    """A factor around 1 that varies with `angle`: harmonics of `orders`, together about `amplitude` deep."""
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    depths = rng.uniform(0.5, 1.0, len(orders)) * amplitude / np.sqrt(len(orders))
    waves = (d * np.cos(k * angle + p) for k, d, p in zip(orders, depths, phases, strict=True))
    return 1 + sum(waves, np.zeros_like(angle))


def strokes(size: int, lines: list[Array], width: float) -> Array:
    """Lines ([P,2] points x, y in 0..1, P dense enough to join) with Gaussian profile: [S,S], 1 on a line."""
    canvas = np.zeros((size, size))
    for line in lines:
        pixels = np.floor(line * size).astype(int)
        inside = ((pixels >= 0) & (pixels < size)).all(axis=1)
        canvas[pixels[inside, 1], pixels[inside, 0]] = 1
    sigma = max(width * size, 0.35)
    return np.clip(gaussian_filter(canvas, sigma) * np.sqrt(2 * np.pi) * sigma, 0, 1.2)


def curve(start: tuple[float, float], bend: tuple[float, float], end: tuple[float, float]) -> Array:
    """Points [400,2] along a quadratic Bezier curve."""
    t = np.linspace(0, 1, 400)[:, None]
    return (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(bend) + t**2 * np.array(end)
