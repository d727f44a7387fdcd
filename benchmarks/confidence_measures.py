"""What benchmarks/confidence.py measures of probabilities [N,...] against truth [N,...]: of masks, and of classes."""

from collections.abc import Callable

import numpy as np
import torch
from torchmetrics.functional.classification import binary_auroc

from benchmarks.selective import area, excess, risk_coverage
from mtmed.evaluation import calibration
from mtmed.evaluation.temperature import GRID, curve
from mtmed.evaluation.uncertainty import THRESHOLD, entropy, soft_dice
from mtmed.types import Array

STEP = 4  # pixels each way of a mask that count once, as in the product's calibration


def measured(p: Array, truth: Array) -> dict[str, float]:
    """The metrics of a head's predictions."""
    return _of_masks(p, truth) if p.ndim == 3 else _of_classes(p, truth)


def sampled(p: Array) -> Array:
    """What calibration looks at, flat: every class, or a grid of a mask's pixels."""
    return (p[:, ::STEP, ::STEP] if p.ndim == 3 else p).ravel()


def _calibrated(p: Array, truth: Array) -> dict[str, float]:
    p, truth = sampled(p), sampled(truth)
    at_one = curve(p, truth, len(p)).nll[len(GRID) // 2]
    return {"nll": at_one / len(p), "calibration_error": calibration.error(p, truth)}


def _of_classes(p: Array, truth: Array) -> dict[str, float]:
    wrong, sure = ((p > THRESHOLD) != truth).astype(float), np.abs(p - THRESHOLD)
    auroc = float(binary_auroc(torch.from_numpy(p).double(), torch.from_numpy(truth).int()))
    return {**_calibrated(p, truth), "auroc": auroc, "risk": wrong.mean(), **_areas("", sure, wrong)}


def _of_masks(p: Array, truth: Array) -> dict[str, float]:
    """Image level: the risk is 1 - Dice, of images with a lesion, and of images on which something was `drawn` (wholly
    wrong where there is no lesion). Pixel level: the risk is to be on the wrong side of 0.5."""
    mask = p > THRESHOLD
    both, size = (mask & truth).sum((1, 2)), mask.sum((1, 2)) + truth.sum((1, 2))
    loss = 1 - 2 * both / np.maximum(size, 1)
    lesion, drawn = truth.any((1, 2)), mask.any((1, 2))
    out = {**_calibrated(p, truth), "dice": 1 - loss[lesion].mean(), "risk_drawn": loss[drawn].mean()}
    out["false_positive_images"] = drawn[~lesion].mean()
    out["soft_dice_drawn"] = np.mean([soft_dice(image) for image in p[drawn]])  # beside it stands 1 - risk_drawn
    for name, confidence in CONFIDENCES.items():
        sure = np.array([confidence(image) for image in p])
        out |= _areas(f"_{name}", sure[lesion], loss[lesion]) | _areas(f"_{name}_drawn", sure[drawn], loss[drawn])
    wrong, sure = (mask != truth).astype(float).ravel(), np.abs(p - THRESHOLD).ravel()
    return {**out, "pixel_risk": wrong.mean(), **_areas("_pixels", sure, wrong)}


def _areas(name: str, confidence: Array, loss: Array) -> dict[str, float]:
    coverage, risk = risk_coverage(confidence, loss)
    at = {f"risk{name}_at_{share}": np.interp(share / 100, coverage, risk) for share in (20, 50, 80)}
    return {f"aurc{name}": area(confidence, loss), f"excess{name}": excess(confidence, loss), **at}


def _inside(p: Array) -> float:
    """Minus the mean entropy of the predicted mask; of an empty one the most that there is, as `soft_dice` has it."""
    inside = p > THRESHOLD
    return -float(entropy(p[inside]).mean()) if inside.any() else -1.0


CONFIDENCES: dict[str, Callable[[Array], float]] = {
    "soft_dice": soft_dice,
    "entropy_inside": _inside,
    "entropy_image": lambda p: -float(entropy(p).mean()),
}
