"""What phantom anatomy is drawn with: coordinates, textures, outlines, strokes; lengths in images, y down."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw
from scipy.fft import irfft2, rfft2
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from mtmed.types import Array

Rng = np.random.Generator
Point = tuple[float, float]
Root = tuple[Point, float, float, float]
FINEST = 0.45  # pixels: a thinner line would be drawn in steps
STEPS = 12  # of a piece of a tree


@lru_cache(maxsize=8)
def grid(size: int) -> tuple[Array, Array]:
    """Pixel centres as x [S,S] and y [S,S] in 0..1, origin top left; read-only, for they are shared."""
    y, x = ((np.mgrid[0:size, 0:size] + 0.5) / size).astype(np.float32)
    x.flags.writeable = y.flags.writeable = False
    return x, y


def fractal(rng: Rng, size: int, exponent: float, stretch: float = 1.0) -> Array:
    """Noise [S,S] of mean 0 and deviation 1 whose power falls as 1/frequency^exponent (tissue is near 3).

    It is periodic, `stretch` times longer in x than in y, and drawn by a child of `rng`: how many pixels there are
    does not change what else is drawn.
    """
    white = rng.spawn(1)[0].standard_normal((size, size), np.float32)
    noise = irfft2(rfft2(white) * _falloff(size, exponent, stretch), s=(size, size))
    return noise / noise.std()


@lru_cache(maxsize=32)
def _falloff(size: int, exponent: float, stretch: float) -> Array:
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], stretch * np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = np.inf  # the mean is 0
    return (frequency ** (-exponent / 2)).astype(np.float32)


def soft(distance: Array, width: float) -> Array:
    """A step from 0 to 1 where `distance` turns positive, `width` wide."""
    return 0.5 + 0.5 * np.tanh(distance / width)


def line(distance: Array, width: float) -> Array:
    """A Gaussian ridge of deviation `width` where `distance` is 0."""
    return np.exp(-0.5 * np.square(distance / width))


def radius(x: Array, y: Array, centre: Point, axes: tuple[float, float], angle: float) -> Array:
    """The distance from `centre` measured in the half-axes of a turned ellipse: 1 on its outline."""
    dx, dy, cos, sin = x - centre[0], y - centre[1], float(np.cos(angle)), float(np.sin(angle))
    return np.hypot((dx * cos + dy * sin) / axes[0], (dy * cos - dx * sin) / axes[1])


def wavy(rng: Rng, angle: Array, orders: range, amplitude: float) -> Array:
    """A factor around 1 that varies with `angle`: harmonics of `orders`, the low ones deeper, `amplitude` in all."""
    phases = rng.uniform(0, 2 * np.pi, len(orders)).tolist()
    depths = rng.uniform(0.4, 1.0, len(orders)) / np.array(orders) ** 0.8
    depths *= amplitude / np.linalg.norm(depths)
    waves = (d * np.cos(k * angle + p) for k, d, p in zip(orders, depths.tolist(), phases, strict=True))
    return 1 + sum(waves, np.zeros_like(angle))


def curve(start: Point | Array, bend: Point | Array, end: Point | Array, count: int = 200) -> Array:
    """Points [count,2] along a quadratic Bezier curve."""
    t = np.linspace(0, 1, count)[:, None]
    return (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(bend) + t**2 * np.array(end)


def through(points: Sequence[Point], count: int = 200) -> Array:
    """Points [count,2] along a smooth curve through `points`, which never overshoots them."""
    knots = np.array(points, float)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(knots, axis=0).T))])
    return PchipInterpolator(along, knots)(np.linspace(0, along[-1], count))


def offset(points: Array, distance: float | Array) -> Array:
    """Points [P,2] moved to the left of their direction of travel by `distance` (or [P])."""
    direction = np.gradient(points, axis=0)
    normal = np.stack([direction[:, 1], -direction[:, 0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    return points + normal * np.broadcast_to(distance, len(points))[:, None]


def dense(points: Array, size: int) -> Array:
    """The same line [P,2] with points about half a pixel apart."""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0, along[-1], int(2 * size * along[-1]) + 2)
    return np.stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])], axis=1)


def strokes(size: int, lines: Sequence[Array], width: float, ends: tuple[float, float] = (1, 1)) -> Array:
    """Lines ([P,2] points x, y) of Gaussian profile, deviation `width`: [S,S], from the one height to the other."""
    if not lines:
        return np.zeros((size, size), np.float32)
    drawn = [dense(points, size) for points in lines]
    steps = [np.hypot(*(p[1] - p[0])) * size * np.linspace(*ends, len(p)) for p in drawn]
    sigma = max(width * size, FINEST)
    return _spread(size, np.concatenate(drawn), np.concatenate(steps), sigma) * np.float32(np.sqrt(2 * np.pi) * sigma)


def dots(size: int, points: Array, width: float, heights: Array) -> Array:
    """Points [P,2] as Gaussian spots of deviation `width`: [S,S], each as high as its entry of `heights` [P]."""
    sigma = max(width * size, FINEST)
    return _spread(size, points, heights, sigma) * np.float32(2 * np.pi * sigma**2)


def _spread(size: int, points: Array, mass: Array, sigma: float) -> Array:
    """`mass` [P] at `points` [P,2], shared among the four nearest pixels, blurred by `sigma` pixels: [S,S]."""
    at = points * size + 0.5  # in pixels of a canvas with a border of one
    inside = ((at >= 0) & (at < size + 1)).all(axis=1)
    at, mass = at[inside], mass[inside]
    whole = at.astype(int)
    part, index = at - whole, whole[:, 1] * (size + 2) + whole[:, 0]
    corners = ((0, 0, 0), (1, 0, 1), (0, 1, size + 2), (1, 1, size + 3))
    shares = [np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1]) * mass for dx, dy, _ in corners]
    indices = [index + step for _, _, step in corners]
    canvas = np.bincount(np.concatenate(indices), np.concatenate(shares), (size + 2) ** 2)
    drawn = canvas.reshape(size + 2, size + 2)[1:-1, 1:-1].astype(np.float32)
    return gaussian_filter(drawn, sigma, truncate=3.0)


def place(rng: Rng, likely: Array) -> Point:
    """A point of an image, as probable as `likely` [S,S] says; the middle of it where nothing is likely."""
    heap = np.cumsum(likely)
    pick = min(int(np.searchsorted(heap, rng.random() * heap[-1], side="right")), likely.size - 1)
    row, column = divmod(pick, len(likely)) if heap[-1] > 0 else (len(likely) // 2, len(likely) // 2)
    return (column + 0.5) / len(likely), (row + 0.5) / len(likely)


def fill(size: int, outlines: Sequence[Array], scale: int = 3) -> Array:
    """How much of each pixel lies within any of the `outlines` ([P,2] points): [S,S] in 0..1."""
    canvas = Image.new("L", (size * scale, size * scale))
    pen = ImageDraw.Draw(canvas)
    for outline in outlines:
        pen.polygon((outline * size * scale).astype(np.float32).ravel().tolist(), fill=255)
    return np.asarray(canvas.reduce(scale), np.float32) / 255


def inset(inside: Array) -> Array:
    """How deep each pixel [H,W] bool lies inside, in images; 0 outside."""
    return (distance_transform_edt(inside) / len(inside)).astype(np.float32)


def sample(texture: Array, u: Array, v: Array) -> Array:
    """A periodic texture [S,S] at column `u` and row `v` [H,W], in periods."""
    size = len(texture)
    return map_coordinates(texture, [v * size, u * size], order=1, mode="grid-wrap")


def smooth(values: Array, width: float) -> Array:
    """Values [S,S] blurred by `width`, which is wide: done on fewer pixels."""
    size = len(values)
    step = max(1, int(width * size / 4))
    if step == 1:
        return gaussian_filter(values, width * size, mode="nearest", truncate=3.0)
    few = Image.fromarray(np.asarray(values, np.float32)).reduce(step)
    blurred = gaussian_filter(np.asarray(few), width * size / step, mode="nearest", truncate=3.0)
    return np.asarray(Image.fromarray(blurred).resize((size, size), Image.Resampling.BILINEAR))


def tree(rng: Rng, roots: Sequence[Root], forks: int, spread: float) -> tuple[Array, Array]:
    """Vessels or ducts that fork and taper.

    Args:
        roots: (start, heading in radians, length, width) of every trunk.
        forks: how often each divides in two; `spread` is about the angle, in radians.

    Returns:
        The pieces [N,P,2] (x, y) and their widths [N].
    """
    start, heading, length, width = (np.array(part, float) for part in zip(*roots, strict=True))
    pieces, widths = [], []
    for _ in range(forks + 1):
        wander = rng.normal(0, 0.06, (len(heading), STEPS)).cumsum(axis=1)
        way = heading[:, None] + wander + rng.normal(0, 0.03, (len(heading), 1)) * np.arange(STEPS)
        steps = length[:, None, None] / STEPS * np.stack([np.cos(way), np.sin(way)], axis=-1)
        pieces.append(start[:, None] + np.pad(steps.cumsum(axis=1), ((0, 0), (1, 0), (0, 0))))
        widths.append(width)
        start, twice = pieces[-1][:, -1].repeat(2, axis=0), 2 * len(heading)
        heading = way[:, -1].repeat(2) + np.tile([-1, 1], len(way)) * spread * rng.uniform(0.3, 1.2, twice)
        length = length.repeat(2) * rng.uniform(0.6, 0.95, twice)
        width = width.repeat(2) * rng.uniform(0.62, 0.82, twice)
    return np.concatenate(pieces), np.concatenate(widths)


def vessels(size: int, grown: tuple[Array, Array]) -> Array:
    """A tree's shadow [S,S]: a tube as thick as it is wide, so a wide one is also bright; in images of thickness."""
    pieces, widths = grown
    levels = np.round(2 * np.log2(np.maximum(widths, 1e-5)))
    shadow = np.zeros((size, size), np.float32)
    for level in np.unique(levels):
        points, width = _divided(pieces[levels == level], size), float(2 ** (level / 2))
        steps = np.linalg.norm(np.diff(points, axis=1, prepend=points[:, :1]), axis=2) * size
        sigma = max(width / 2.4 * size, FINEST)
        height = width * np.sqrt(2 * np.pi) * sigma
        shadow += height * _spread(size, points.reshape(-1, 2), steps.ravel(), sigma)
    return shadow


def _divided(pieces: Array, size: int) -> Array:
    """Lines [N,P,2] with points at most about half a pixel apart, [N,Q,2]."""
    longest = np.linalg.norm(np.diff(pieces, axis=1), axis=2).max(initial=0)
    parts = int(2 * longest * size) + 1
    t = (np.arange(parts) / parts)[:, None]
    between = pieces[:, :-1, None] * (1 - t) + pieces[:, 1:, None] * t
    return between.reshape(len(pieces), -1, 2)
