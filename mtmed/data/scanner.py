"""A simulated scanner: makes sites that differ in their pictures out of one data set.

A crude stand-in for what differs between devices. The order is that of the physics: detector (blur, noise),
processing (gamma, the film's curve), storage (bits).
"""

from hashlib import sha256

import numpy as np
from scipy.ndimage import gaussian_filter

from mtmed.specs import ScannerSpec
from mtmed.types import Array


def simulate(image: Array, spec: ScannerSpec, study: str) -> Array:
    """The image [H,W] float32 in 0..1 as this scanner would have shown it; black stays black, so padding does.

    Args:
        study: its name seeds the noise, so that it is the same in whatever order studies are prepared.
    """
    seen = np.clip(image, 0, 1).astype(np.float32)
    if spec.blur:
        seen = gaussian_filter(seen, spec.blur / 1000 * max(image.shape), mode="nearest")
    if spec.noise:
        # fewer photons pass where it is dense, and so bright
        grain = _generator(study).standard_normal(image.shape, np.float32)
        seen = np.clip(seen + np.float32(spec.noise) * np.sqrt(seen) * grain, 0, 1)
    return _stored(_curve(seen ** np.float32(spec.gamma), spec.contrast), spec.bits)


def draw(rng: np.random.Generator) -> ScannerSpec:
    """Some scanner; its numbers are short, to be written into params.yaml."""
    return ScannerSpec(
        blur=round(rng.uniform(0, 8), 1),
        noise=round(rng.uniform(0, 0.08), 3),
        gamma=round(float(np.exp(rng.uniform(np.log(0.5), np.log(2)))), 2),
        contrast=round(float(np.exp(rng.uniform(np.log(0.6), np.log(1.8)))), 2),
        bits=int(rng.choice([6, 8, 10, 12])),
    )


def _generator(study: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(sha256(f"scanner:{study}".encode()).digest()[:8], "big"))


def _curve(image: Array, contrast: float) -> Array:
    """Through black, middle grey and white, with slope `contrast` in the middle; a line the network would undo."""
    if contrast == 1:
        return image
    up, down = image ** np.float32(contrast), (1 - image) ** np.float32(contrast)
    return up / (up + down)


def _stored(image: Array, bits: int) -> Array:
    """In 2^bits grey levels; 16 are those of the files, and change nothing."""
    if bits == 16:
        return image
    top = np.float32(2**bits - 1)
    return np.round(image * top) / top
