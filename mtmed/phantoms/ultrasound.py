"""Breast ultrasound that never was: B-mode stills of a linear or a curved probe, with cysts, fibroadenomas and cancers.

A still is drawn along the beams, [depth, beam], as echo and attenuation, and then laid out as the probe's field:
shadows and enhancement behind a lesion follow from what it attenuates, speckle from the interference of many
scatterers (Burckhardt 1978, IEEE Trans. Sonics Ultrason. 25:1). Signs of lesions are those of the BI-RADS lexicon.
"""

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UltrasoundImageStorage
from scipy.ndimage import gaussian_filter, map_coordinates

from mtmed.phantoms._exam import Drawing, Exam, Lesion, Modality
from mtmed.phantoms._shapes import FINEST, Point, Rng, fractal, line, radius, soft, wavy
from mtmed.types import Array

LINEAR, CURVED = "Phantom Linear 12", "Phantom Curved 9"
DEPTH_MM = {LINEAR: 40.0, CURVED: 45.0}
CURVE_MM = 60.0  # the curved probe's radius
RANGE_DB = 58.0
LOOKS = 2  # compounding: as many independent speckles are averaged
# echo of tissues, decibels below the brightest
SKIN, FAT, GLAND, MUSCLE, BONE, FLUID = -14.0, -35.0, -20.0, -33.0, -36.0, -75.0


@dataclass
class Beams:
    """What the beams meet, [S,S] each; x and z are millimetres along and below the skin.

    Attributes:
        x, z: where each sample lies.
        echo: decibels below the brightest.
        loss: attenuation beyond what the scanner makes up for, decibels per mm.
        floor: the depth at which muscle starts.
    """

    x: Array
    z: Array
    echo: Array
    loss: Array
    floor: Array

    def mix(self, where: Array, echo: float | Array) -> None:
        """Put tissue of another echo `where` [S,S] 0..1 says."""
        self.echo += where * (echo - self.echo)

    def fade(self, echo: Array, loss: Array, contrast: float) -> None:
        """Leave only a part of what has changed since echo and loss were these."""
        self.echo, self.loss = (then + contrast * (now - then) for then, now in ((echo, self.echo), (loss, self.loss)))

    def around(self, at: Point) -> Array:
        """The angle [S,S] around a point."""
        return np.arctan2(self.z - at[1], self.x - at[0])


def _describe(dataset: Dataset, exam: Exam, spacing: float) -> None:
    dataset.SOPClassUID, dataset.Modality = UltrasoundImageStorage, "US"
    dataset.BodyPartExamined, dataset.ImageLaterality = "BREAST", exam.laterality
    dataset.PixelSpacing = [spacing, spacing]
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # centimetres
    region.PhysicalDeltaX = region.PhysicalDeltaY = round(spacing / 10, 6)
    dataset.SequenceOfUltrasoundRegions = Sequence([region])


def _draw(rng: Rng, exam: Exam, size: int) -> Drawing:
    side = DEPTH_MM[exam.device]
    beams = _tissue(rng, *_samples(size, side, exam.device))
    _innocent(rng, beams)
    mask = np.zeros((size, size), np.float32)
    if exam.finding != "normal":
        grow = _cancer if exam.finding == "malignant" else _cyst if rng.random() < 0.35 else _fibroadenoma
        healthy = beams.echo.copy(), beams.loss.copy()
        mask = grow(rng, beams).astype(np.float32)
        beams.fade(*healthy, exam.contrast)
    picture, found = (_laid_out(part, side, exam.device) for part in (_echoes(rng, beams, side), mask))
    lesions = [Lesion(exam.finding, found > 0.5)] if found.max() > 0.5 else []
    return Drawing(_with_scale(picture, side), side, lesions)


def _samples(size: int, side: float, device: str) -> tuple[Array, Array]:
    """Where the samples along the beams lie, x and z [S,S] in mm: parallel beams, or those of a fan."""
    across = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5)[None, :]
    depth = ((np.arange(size, dtype=np.float32) + 0.5) / size * side)[:, None]
    if device == LINEAR:
        return np.broadcast_to(side * across, (size, size)), np.broadcast_to(depth, (size, size))
    angle, far = across * _opening(side), CURVE_MM + depth
    return far * np.sin(angle), far * np.cos(angle) - CURVE_MM


def _opening(side: float) -> float:
    """The fan's angle in radians: its lower corners touch the image's sides."""
    return 2 * float(np.arcsin(0.5 * side / (CURVE_MM + 0.97 * side)))


def _tissue(rng: Rng, x: Array, z: Array) -> Beams:
    """Skin, fat in lobules, gland, more fat, the fascia, muscle and, in one of three, a rib."""
    size, deep = len(x), float(z.max())
    top, bottom, floor = (
        _border(rng, x, rng.uniform(*share) * deep) for share in ((0.2, 0.34), (0.55, 0.68), (0.74, 0.86))
    )
    ragged = 1.4 * fractal(rng, size, 3.0, 2.0)
    gland = soft(z - top + ragged, 0.8) * soft(bottom - z + ragged, 0.8)
    gland *= np.clip(0.85 + 0.3 * fractal(rng, size, 3.0, 1.8), 0, 1)
    lobules = np.clip(fractal(rng, size, 2.6, 1.8) - 0.4, 0, 2)
    echo = FAT + 11 * _septa(rng, size) + (GLAND - FAT - 7 * lobules) * gland
    beams = Beams(x, z, echo, np.zeros((size, size), np.float32), floor)
    fibres = np.sin(2 * np.pi * (z - floor) / rng.uniform(1.0, 1.6) + 2.0 * fractal(rng, size, 3.4, 3.0))
    beams.mix(soft(z - floor, 0.3), MUSCLE + 4 * fibres)
    skin = rng.uniform(1.4, 2.2)
    beams.mix(soft(skin - z, 0.15), SKIN)
    beams.echo += 22 * line(z - floor, 0.35) - 12 * line(z - 0.55 * skin, 0.2 * skin)
    if rng.random() < 0.35:
        _rib(rng, beams)
    return beams


def _border(rng: Rng, x: Array, depth: float) -> Array:
    """The depth [S,S] of a border between layers, in mm."""
    waves = [np.sin(2 * np.pi * x / rng.uniform(20, 60) + rng.uniform(0, 2 * np.pi)) for _ in range(3)]
    return depth + 0.7 * np.sum(waves, axis=0)


def _septa(rng: Rng, size: int) -> Array:
    """Cooper's ligaments around lobules of fat, [S,S] 0..1: most are level, some steep."""
    level, steep = fractal(rng, size, 3.4, 2.2), fractal(rng, size, 3.6, 1.2)
    return np.clip(line(level, 0.08) + 0.6 * line(steep - 0.3, 0.05), 0, 1.2)


def _rib(rng: Rng, beams: Beams) -> None:
    """A rib in cross-section: a bright cap and nothing behind it."""
    centre = (rng.uniform(-0.8, 0.8) * float(beams.x.max()), float(beams.floor.mean()) + 3.5)
    q = radius(beams.x, beams.z, centre, (rng.uniform(5, 7), 3.0), 0)
    beams.mix(soft(1 - q, 0.1), BONE)
    beams.echo += 26 * line(q - 1, 0.07) * (beams.z < centre[1])
    beams.loss += 6.0 * soft(1 - q, 0.1)


def _innocent(rng: Rng, beams: Beams) -> None:
    """What looks like a lesion and is none: round lobules of fat, a duct, shadows of poor contact."""
    x, z = beams.x, beams.z
    width, deep = float(x.max()), float(beams.floor.mean())
    for _ in range(rng.binomial(2, 0.45)):
        at = (rng.uniform(-0.8, 0.8) * width, rng.uniform(0.2, 0.8) * deep)
        q = radius(x, z, at, (rng.uniform(3.5, 7), rng.uniform(1.8, 3.2)), rng.normal(0, 0.15))
        beams.mix(soft(1 - q, 0.12), FAT + 2)
        beams.echo += 7 * line(q - 1.03, 0.06)
    if rng.random() < 0.25:
        course = rng.uniform(0.3, 0.65) * deep + rng.normal(0, 0.2) * x + 0.6 * np.sin(x / 4)
        bore = rng.uniform(0.3, 0.8) * soft(x - rng.uniform(-0.5, 0.5) * width, 2.5) - 0.15
        beams.mix(0.8 * soft(bore - np.abs(z - course), 0.25), -50)
    for _ in range(rng.binomial(2, 0.25)):
        gap = line(x - rng.uniform(-1, 1) * width, rng.uniform(0.8, 2.0))
        beams.loss += rng.uniform(0.15, 0.5) * gap * (z < 0.3 * deep)


def _cyst(rng: Rng, beams: Beams) -> Array:
    """Black, thin-walled, and bright behind; its mask [S,S] bool."""
    half = _half_axes(rng, (4, 9, 20), (0.6, 0.95))
    at = _place(rng, beams, half)
    q = radius(beams.x, beams.z, at, half, rng.normal(0, 0.1)) / wavy(rng, beams.around(at), range(2, 4), 0.03)
    inside = soft(1 - q, 0.05)
    beams.mix(inside, FLUID)
    beams.echo += 14 * line(q - 1, 0.05) * (np.abs(beams.z - at[1]) > 0.5 * half[1])  # walls that face the probe
    beams.loss -= 0.6 * inside
    _edge_shadows(beams, at, half)
    return q < 1


def _fibroadenoma(rng: Rng, beams: Beams) -> Array:
    """Oval, wider than tall, even and a little darker than fat, in a thin capsule; its mask [S,S] bool."""
    half = _half_axes(rng, (7, 13, 26), (0.45, 0.7))
    at = _place(rng, beams, half)
    q = radius(beams.x, beams.z, at, half, rng.normal(0, 0.12)) / wavy(rng, beams.around(at), range(2, 5), 0.07)
    inside = soft(1 - q, 0.05)
    beams.mix(inside, rng.uniform(-40, -34) + 1.5 * fractal(rng, len(q), 2.5))
    beams.echo += 9 * line(q - 1.04, 0.04)
    beams.loss -= rng.uniform(-0.1, 0.3) * inside
    _edge_shadows(beams, at, half)
    return q < 1


def _cancer(rng: Rng, beams: Beams) -> Array:
    """Irregular, often taller than wide, very dark, in a bright halo, a shadow behind it; its mask [S,S] bool."""
    half = _half_axes(rng, (7, 13, 24), (0.75, 1.35))
    at = _place(rng, beams, half)
    angle = beams.around(at)
    q = radius(beams.x, beams.z, at, half, rng.normal(0, 0.3)) / wavy(rng, angle, range(2, 9), 0.16)
    spikes = 0.25 * np.clip(wavy(rng, angle, range(7, 15), 0.8) - 1, 0, 1) * np.exp(-4 * np.square(q - 1))
    inside = soft(1 - q + spikes + 0.05 * fractal(rng, len(q), 2.6), 0.12)
    beams.echo += 10 * line(q - 1.25, 0.14)
    beams.mix(inside, rng.uniform(-48, -40) + 4 * fractal(rng, len(q), 2.4))
    if rng.random() < 0.4:
        specks = rng.spawn(1)[0].random(q.shape) < rng.uniform(5, 18) / inside.sum()
        beams.echo += 24 * np.clip(3 * gaussian_filter(specks.astype(np.float32), 2 * FINEST), 0, 1)
    beams.loss += rng.uniform(0.35, 1.0) * inside
    return q < 1


def _half_axes(rng: Rng, long: tuple[float, float, float], tall: tuple[float, float]) -> Point:
    """Half-axes (x, z) in mm of a lesion: `long` is its least, usual and greatest diameter, `tall` height by width."""
    half, ratio = rng.triangular(*long) / 2, rng.uniform(*tall)
    return half / max(1, ratio), half * min(1, ratio)


def _place(rng: Rng, beams: Beams, half: Point) -> Point:
    """A centre (x, z) in mm between skin and muscle, where a lesion of these half-axes fits."""
    width = float(np.abs(beams.x[len(beams.x) // 4]).max())
    low, high = 2.5 + half[1], max(3.0 + half[1], float(beams.floor.min()) - half[1] + 0.5)
    return rng.uniform(-1, 1) * max(0.0, width - 1.2 * half[0]), rng.uniform(low, high)


def _edge_shadows(beams: Beams, at: Point, half: Point) -> None:
    """Beams that graze a smooth side are bent away."""
    beams.loss += 0.5 * line(np.abs(beams.x - at[0]) - half[0], 0.5) * line(beams.z - at[1], 0.35 * half[1])


def _echoes(rng: Rng, beams: Beams, side: float) -> Array:
    """Brightness [S,S] along the beams: attenuation, interference, logarithm."""
    size = len(beams.x)
    lost = 2 * np.cumsum(beams.loss, axis=0) * side / size
    drift = rng.uniform(0.05, 0.25) * beams.z + 0.35 * np.clip(beams.z - 0.6 * side, 0, None)
    scatterers = 10 ** ((beams.echo - lost - drift + rng.uniform(-2, 4)) / 20)
    pulse = (max(0.11 * size / side, FINEST), max(0.28 * size / side, 1.4 * FINEST))  # shorter than it is wide
    looks = rng.spawn(1)[0].standard_normal((2 * LOOKS, size, size), np.float32) * scatterers
    waves = [gaussian_filter(look, pulse, mode="nearest", truncate=3.0) for look in looks]
    envelope = np.sqrt(np.square(waves).sum(axis=0) / LOOKS * 2 * np.pi * pulse[0] * pulse[1])
    return np.clip(1 + 20 * np.log10(envelope + 10 ** (-RANGE_DB / 20 - 0.1)) / RANGE_DB, 0, 1)


def _laid_out(picture: Array, side: float, device: str) -> Array:
    """A picture [S,S] along the beams as the probe's field in the image."""
    if device == LINEAR:
        return picture
    size = len(picture)
    pixels = (np.arange(size) + 0.5) / size * side
    sag = CURVE_MM * (1 - np.cos(_opening(side) / 2))
    across, down = np.meshgrid(pixels - side / 2, pixels - sag + CURVE_MM)
    depth, beam = np.hypot(across, down) - CURVE_MM, np.arctan2(across, down) / _opening(side) + 0.5
    return map_coordinates(picture, [depth / side * size - 0.5, beam * size - 0.5], order=1, mode="constant")


def _with_scale(image: Array, side: float) -> Array:
    """The image [S,S] with a tick at its right edge for each centimetre of depth."""
    size, marked = len(image), image.copy()
    for tick in range(10, int(side), 10):
        row = int(tick / side * size)
        marked[row : row + max(1, size // 200), -max(2, size // 50) :] = 0.9
    return marked


PHANTOM = Modality(
    findings={"malignant": 0.4, "benign": 0.6},
    views=("RADIAL", "ANTIRADIAL"),
    devices=(LINEAR, CURVED),
    draw=_draw,
    describe=_describe,
    lateral=True,
)
