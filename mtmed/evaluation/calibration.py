"""Calibration: does what is given 70 % happen 70 % of the time? Histograms that add up over sites."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error

from mtmed.types import Array

BINS = 10
FIELDS = ("count", "confidence", "frequency")

Histogram = Mapping[str, Sequence[float]]


def reliability(probability: Array, truth: Array) -> dict[str, list[float]]:
    """The reliability histogram of `probability [N]` in 0..1 and `truth [N]` (0 or 1) over `BINS` equal bins.

    Bins are closed on the left; the last one holds 1. An empty bin has count, confidence and frequency 0.
    """
    return of_sums(sums(probability, truth))


def sums(probability: Array, truth: Array) -> Array:
    """[3,BINS]: how many examples, the sum of their probabilities, their positives; unions add up."""
    p, t = (x.numpy() for x in _pair(probability, truth))
    edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64).numpy()  # as torchmetrics has them
    index = np.searchsorted(edges, p, side="right") - 1
    return np.stack([np.bincount(index, weights, minlength=BINS) for weights in (np.ones_like(p), p, t)])


def of_sums(total: Array) -> dict[str, list[float]]:
    """The histogram of `sums`: means instead of sums within bins."""
    means = total[1:] / np.maximum(total[0], 1)
    return dict(zip(FIELDS, [total[0].tolist(), *means.tolist()], strict=True))


def merge(histograms: Sequence[Histogram]) -> dict[str, list[float]]:
    """The histogram of the union of several sites' examples; empty ones count for nothing."""
    parts = [np.array([h[f] for f in FIELDS], float) for h in histograms if h]
    for part in parts:
        part[1:] *= part[0]
    return of_sums(np.sum(parts, axis=0)) if parts else {}


def error(probability: Array, truth: Array) -> float:
    """The expected calibration error (Naeini et al. 2015): mean |confidence - frequency| by count."""
    p, t = _pair(probability, truth)
    return float(binary_calibration_error(p, t, n_bins=BINS, norm="l1", validate_args=False))


def error_of(histogram: Histogram) -> float | None:
    """The expected calibration error of a histogram, e.g. of several sites; None for an empty one."""
    if not histogram:
        return None
    count, confidence, frequency = (np.asarray(histogram[f], float) for f in FIELDS)
    total = count.sum()
    return float((count * np.abs(confidence - frequency)).sum() / total) if total else None


def _pair(probability: Array, truth: Array) -> tuple[Tensor, Tensor]:
    # double: torchmetrics counts in the type of the probabilities, and float32 stops at 16.7 million pixels
    p = torch.as_tensor(np.asarray(probability, np.float64).ravel())
    t = torch.as_tensor(np.asarray(truth).ravel().astype(np.int64))
    if p.shape != t.shape:
        raise ValueError(f"expected a truth per probability, got {len(t)} for {len(p)}")
    if len(p) and not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError(f"expected probabilities in 0..1, got {float(p.min())} to {float(p.max())}")
    if not bool(((t == 0) | (t == 1)).all()):
        raise ValueError(f"expected truths of 0 or 1, got {int(t.min())} to {int(t.max())}")
    # torchmetrics gives a probability of exactly 1 a bin of its own: keep it in the last one
    return p.clamp(max=float(np.nextafter(1, 0))), t
