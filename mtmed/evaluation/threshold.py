"""The baseline that any segmentation must beat: one intensity threshold for all images of a site."""

from dataclasses import dataclass

import numpy as np

from mtmed.errors import UserError
from mtmed.types import Array

CANDIDATES = 64


@dataclass(frozen=True)
class Threshold:
    """Lesion is what is brighter than `value` (`above`), or what is not."""

    value: float
    above: bool


def tune(images: Array, masks: Array) -> Threshold:
    """The threshold and side with the best mean Dice over images with a lesion.

    Args:
        images: [N,H,W] intensities, of training studies.
        masks: [N,H,W] bool.
    """
    lesion = masks.any((1, 2))
    if not lesion.any():
        raise UserError("no mask with a lesion to tune a threshold on: label some, or leave the baseline out")
    images, masks = images[lesion], masks[lesion]
    quantiles = np.quantile(images, np.linspace(0, 1, CANDIDATES + 2)[1:-1])
    values = np.unique(quantiles.astype(np.result_type(images, np.float32)))  # `apply` compares in that type
    above = _dice(images, masks, values)
    best = np.unravel_index(above.argmax(), above.shape)
    return Threshold(value=float(values[best[1]]), above=bool(best[0] == 0))


def apply(threshold: Threshold, images: Array) -> Array:
    """The predicted masks, bool, in the shape of `images`."""
    brighter: Array = images > threshold.value
    return brighter if threshold.above else ~brighter


def _dice(images: Array, masks: Array, values: Array) -> Array:
    """Mean Dice [2,T] over images, above and below each of the sorted `values [T]`.

    Counted from one histogram of each image over the intervals between thresholds, so that memory does not
    grow with T.
    """
    n, bins = len(images), len(values) + 1
    level = np.searchsorted(values, images.reshape(n, -1), side="left")  # > value t is level >= t + 1
    cell = (level + bins * np.arange(n)[:, None]).ravel()
    pixels = np.bincount(cell, minlength=n * bins).reshape(n, bins)
    hits = np.bincount(cell, masks.reshape(-1).astype(float), minlength=n * bins).reshape(n, bins)
    below, hits_below = pixels.cumsum(1)[:, :-1], hits.cumsum(1)[:, :-1]
    lesion, area = hits.sum(1, keepdims=True), pixels.sum(1, keepdims=True)
    dice_above = 2 * (lesion - hits_below) / (area - below + lesion)
    dice_below = 2 * hits_below / (below + lesion)
    return np.stack([dice_above.mean(0), dice_below.mean(0)])
