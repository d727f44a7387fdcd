"""How sure a mean over paired runs is: its 95 % interval and its p-value, and Holm's correction for many of them.

Seeds that draw their own patients are independent. The runs of a cross-validation are not: any two folds train on
mostly the same patients, so the usual variance of the mean is too small, and the corrected one of Nadeau & Bengio
(2003, "Inference for the generalization error", Machine Learning 52) stands in for it, for repeated folds as in
Bouckaert & Frank (2004). docs/decisions/0022 says why the intervals are Student's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mtmed.types import Array

LEVEL = 0.95
EXACT = 15  # at most so many values have all their signs flipped; of more, a sample
ROUNDING = 1e-12  # of the largest value: means that differ by less are the same


@dataclass(frozen=True)
class Estimate:
    """A mean over runs.

    Attributes:
        mean, low, high: the mean and its 95 % interval, in the values' unit.
        p: of "the mean is the target", two-sided: exact sign flips, or the corrected t-test for cross-validation.
        wilcoxon: the same by Wilcoxon's signed ranks, as a cross-check; None for cross-validation.
        n: runs.
    """

    mean: float
    low: float
    high: float
    p: float
    wilcoxon: float | None
    n: int


def estimate(values: Array, target: float = 0.0, folds: int = 1) -> Estimate:
    """The mean of values [n], n at least 2, beside a target.

    Args:
        folds: of each cross-validation that the values come from; 1 where runs are independent.
    """
    mean, error = float(np.mean(values)), standard_error(values, folds)
    reach = error * float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1))
    away = np.asarray(values, float) - target
    p = sign_flip(away) if folds == 1 else _t_test(float(away.mean()), error, len(values))
    return Estimate(mean, mean - reach, mean + reach, p, signed_ranks(away) if folds == 1 else None, len(values))


def ratio_of_means(part: Array, whole: Array) -> Estimate | None:
    """The mean of `part` [n] by that of `whole` [n], paired, with Fieller's interval (1954); None if it is not bounded.

    That is where the mean of `whole` may be 0. `p` is not a number: nothing is tested.
    """
    n = len(part)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) ** 2 / n
    (own, both), (_, other) = reach * np.cov(part, whole)
    above, below = float(np.mean(part)), float(np.mean(whole))
    bend = below**2 - other
    if bend <= 0:
        return None
    middle = (above * below - both) / bend
    width = np.sqrt(max(0.0, middle**2 - (above**2 - own) / bend))
    return Estimate(above / below, middle - width, middle + width, float("nan"), None, n)


def standard_error(values: Array, folds: int = 1) -> float:
    """Of the mean of values [n]: s² (1/n + test/train), where a fold tests 1 patient for folds - 1 that train."""
    overlap = 1 / (folds - 1) if folds > 1 else 0.0
    return float(np.std(values, ddof=1) * np.sqrt(1 / len(values) + overlap))


def sign_flip(values: Array) -> float:
    """Two-sided p of "values [n] are symmetric about 0": the share of signs whose mean is at least as far from it.

    All 2^n signs up to n = 15; of more values 2^15 random ones, the same every time, and the true ones, so that p is
    never 0 (Phipson & Smyth 2010). scipy.stats.permutation_test gives the same, but takes seconds for n = 15.
    """
    values = np.asarray(values, float)
    n = len(values)
    if n <= EXACT:
        signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    else:
        signs = np.vstack([np.ones(n), np.random.default_rng(0).choice([-1, 1], (2**EXACT, n))])
    means = np.abs(signs @ values) / n
    return float(np.mean(means >= np.abs(values.mean()) - ROUNDING * np.abs(values).max()))


def signed_ranks(values: Array) -> float:
    """Two-sided p of Wilcoxon's test of values [n], exact where none is 0 and none as large as another."""
    if not np.any(values):
        return 1.0
    exact = np.all(values) and len(np.unique(np.abs(values))) == len(values)
    method = "exact" if exact else "asymptotic"  # scipy would try all signs here, for seconds
    return float(stats.wilcoxon(values, method=method, correction=not exact).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values after Holm's correction (1979), in the same order: .05 is then the risk of any error at all."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def _t_test(away: float, error: float, n: int) -> float:
    if error == 0:
        return float(away == 0)
    return float(2 * stats.t.sf(abs(away) / error, n - 1))
