"""The bootstrap over patients: how far a metric would move with other patients of the same site.

Images of one patient resemble each other, so patients are drawn, not images (Efron and Tibshirani 1993).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mtmed.types import Metrics

Measure = Callable[[Sequence[Any]], Mapping[str, float]]

LEVEL = 0.95
MINIMUM = 20  # with fewer replicates a 95 % interval is read off one or two extremes


def replicates(
    observations: Sequence[Any], patients: Sequence[str], metrics: Measure, count: int, seed: int
) -> dict[str, list[float]]:
    """Each metric on `count` resamples of the patients with replacement; all images of a patient go together.

    A resample in which a metric is absent or not finite (AUROC without a positive, Dice without a lesion) is
    dropped for that metric, so lists may be shorter than `count`: the interval is conditional on the metric
    being defined. Models that are measured on the same patients with the same seed get the same resamples in
    the same order, and can be compared replicate by replicate.
    """
    if len(observations) != len(patients):
        raise ValueError(f"expected a patient per observation, got {len(patients)} for {len(observations)}")
    groups = _by_patient(patients)
    generator = np.random.default_rng(seed)
    out: dict[str, list[float]] = {}
    for _ in range(count if groups else 0):
        drawn = generator.integers(len(groups), size=len(groups))
        sample = [observations[i] for g in drawn for i in groups[g]]
        for name, value in finite(metrics(sample)).items():
            out.setdefault(name, []).append(value)
    return out


def interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """The percentile interval of replicates; None with fewer than `MINIMUM` finite ones."""
    kept = [v for v in values if math.isfinite(v)]
    if len(kept) < MINIMUM:
        return None
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def finite(metrics: Mapping[str, float]) -> Metrics:
    """The metrics that have a value: NaN and infinity say undefined, and JSON has no word for them."""
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def _by_patient(patients: Sequence[str]) -> list[list[int]]:
    """Indices of each patient's observations, patients in order of their names."""
    groups: dict[str, list[int]] = {}
    for index, patient in enumerate(patients):
        groups.setdefault(patient, []).append(index)
    return [groups[name] for name in sorted(groups)]
