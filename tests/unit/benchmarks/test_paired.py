from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.evidence.paired import estimate, holm, ratio_of_means, sign_flip, signed_ranks, standard_error

VALUES = st.lists(st.integers(-50, 50).map(lambda n: n / 100), min_size=2, max_size=7).map(np.array)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def _all_signs(values: np.ndarray) -> float:
    """Each of the 2^n signs, one by one; as far from 0 within rounding."""
    means = [abs(np.mean(values * signs)) for signs in product((1, -1), repeat=len(values))]
    return float(np.mean([m >= abs(values.mean()) - 1e-12 for m in means]))


@given(VALUES)
def test_sign_flips_are_all_tried(values: np.ndarray) -> None:
    assert sign_flip(values) == pytest.approx(_all_signs(values))


@pytest.mark.parametrize("seed", range(5))
def test_sign_flips_are_scipy_s(seed: int) -> None:
    values = np.random.default_rng(seed).normal(0.3, 1, 10).round(1)
    test = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=1024)
    assert sign_flip(values) == pytest.approx(test.pvalue)


def test_the_smallest_p_of_ten_seeds() -> None:
    assert sign_flip(np.arange(1, 11) / 100) == pytest.approx(2 / 1024)
    assert sign_flip(np.zeros(10)) == 1
    assert signed_ranks(np.zeros(10)) == 1


def test_beyond_fifteen_runs_signs_are_sampled_and_the_same_every_time() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, 25)
    exact = stats.ttest_1samp(values, 0).pvalue  # near it, as the values are normal
    assert sign_flip(values) == sign_flip(values) == pytest.approx(exact, abs=0.01)


@given(VALUES)
def test_the_cross_check_is_sign_flips_of_the_ranks(values: np.ndarray) -> None:
    ranks = np.sign(values) * stats.rankdata(np.abs(values))
    assume(len(set(np.abs(values))) == len(values) and values.all())
    assert signed_ranks(values) == pytest.approx(_all_signs(ranks))


def test_the_cross_check_bears_ties() -> None:
    values = np.array([1, 1, 2, 3, -2, 4, 5, 5, 0, 1.0])
    assert signed_ranks(values) == pytest.approx(36 / 1024, abs=0.005)  # of all signs of the ranks


@given(VALUES.filter(lambda v: np.ptp(v) > 0), st.sampled_from([0.0, -0.01, 0.2]))
def test_an_interval_is_student_s(values: np.ndarray, target: float) -> None:
    found = estimate(values, target)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(_all_signs(values - target))
    assert found.n == len(values)


def test_an_interval_covers_the_truth_in_about_95_per_cent() -> None:
    values = np.random.default_rng(0).normal(0.03, 0.02, (2000, 10))
    found = [estimate(v, 0.03) for v in values[:200]]
    assert np.mean([e.p < 0.05 for e in found]) < 0.09
    reach = stats.t.ppf(0.975, 9) * np.array([standard_error(v) for v in values])
    assert np.mean(np.abs(values.mean(1) - 0.03) <= reach) == pytest.approx(0.95, abs=0.012)


def test_folds_share_patients_so_their_interval_is_wider() -> None:
    values = np.random.default_rng(0).normal(0, 1, 10)
    # 10 folds of 5-fold cross-validation: s^2 (1/10 + 1/4), by hand from Nadeau & Bengio's equation
    assert standard_error(values, 5) == pytest.approx(values.std(ddof=1) * 0.35**0.5)
    alone, crossed = estimate(values), estimate(values, folds=5)
    assert crossed.high - crossed.low == pytest.approx((alone.high - alone.low) * 3.5**0.5)
    assert crossed.wilcoxon is None


@given(VALUES.filter(lambda v: np.ptp(v) > 0))
def test_p_of_folds_is_05_where_the_interval_ends(values: np.ndarray) -> None:
    low = estimate(values, folds=5).low
    assert estimate(values, target=low, folds=5).p == pytest.approx(0.05)
    assert estimate(values, target=values.mean(), folds=5).p == pytest.approx(1)


def test_folds_that_agree_wholly() -> None:
    assert estimate(np.full(10, 0.5), 0.5, folds=5).p == 1
    assert estimate(np.full(10, 0.5), 0.0, folds=5).p == 0


@given(P_VALUES)
def test_holm_is_the_closed_test_of_bonferroni(p: list[float]) -> None:
    places = range(len(p))
    sets = [s for size in range(1, len(p) + 1) for s in combinations(places, size)]
    closed = [max(min(1, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in places]
    assert holm(p) == pytest.approx(closed)


@given(P_VALUES)
def test_holm_keeps_the_order_and_lowers_nothing(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    assert all(adjusted[i] <= adjusted[j] for i in range(len(p)) for j in range(len(p)) if p[i] <= p[j])


def test_a_ratio_of_means_has_fiellers_interval() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        whole = 1 + 0.3 * rng.normal(size=10)
        found = ratio_of_means(0.8 * whole + 0.2 * rng.normal(size=10), whole)
        assert found is not None
        assert found.low < found.mean < found.high
        inside += found.low < 0.8 < found.high
    assert 0.92 < inside / 400 < 0.98
    sure = ratio_of_means(np.full(10, 0.5), np.full(10, 2.0))
    assert sure is not None
    assert (sure.mean, sure.low, sure.high) == pytest.approx((0.25, 0.25, 0.25))
    assert ratio_of_means(np.ones(10), np.array([1.0, -1.2] * 5)) is None
