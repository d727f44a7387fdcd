"""One temperature per head: what it finds, and what it does where there is next to nothing to find it on."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit

from mtmed.evaluation import calibration
from mtmed.evaluation.temperature import GRID, HIGHEST, LOWEST, add, best, curve, scale
from mtmed.types import LikelihoodCurve


def drawn(count, overconfidence, seed=0):
    """Probabilities whose logits are `overconfidence` times those that the truth was drawn from."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 1.5, count)
    return expit(overconfidence * logits), rng.random(count) < expit(logits)


@pytest.mark.parametrize("overconfidence", [0.5, 1.0, 1.7, 3.0])
def test_it_finds_by_how_much_a_model_is_too_sure(overconfidence):
    p, truth = drawn(20_000, overconfidence)
    found = best(curve(p, truth, 1))
    assert found == pytest.approx(overconfidence, rel=0.05)
    assert calibration.error(scale(p, found), truth) < 0.02


@pytest.mark.parametrize("seed", range(5))
def test_the_grid_is_as_good_as_an_optimiser(seed):
    p, truth = drawn(60, 1.5, seed)
    signed = np.log(p / (1 - p)) * np.where(truth, 1, -1)
    bounds = np.log([LOWEST, HIGHEST])
    for prior in (np.inf, 0.5):
        exact = minimize_scalar(
            lambda log, prior=prior: np.logaddexp(0, -signed * np.exp(-log)).sum() + log**2 / (2 * prior**2),
            bounds=bounds,
            method="bounded",
        )
        assert best(curve(p, truth, 1), prior) == pytest.approx(np.exp(exact.x), rel=2e-3)


FEW = [
    ([0.1, 0.3, 0.2], [0, 0, 0], LOWEST),  # all negative, and all said to be: it can only be surer
    ([0.8, 0.7], [0, 0], HIGHEST),
    ([0.3], [False], LOWEST),
    ([0.3], [True], HIGHEST),
    ([1.0], [0], HIGHEST),
    ([0.0], [0], LOWEST),
]


@pytest.mark.parametrize(("probability", "truth", "limit"), FEW)
def test_few_images_would_end_at_a_limit_and_are_pulled_to_one(probability, truth, limit):
    found = curve(np.array(probability), np.array(truth), len(truth))
    assert best(found, np.inf) == limit
    assert abs(np.log(best(found))) <= abs(np.log(limit))
    assert (best(found) <= 1) == (limit == LOWEST)


def test_the_pull_is_soon_overcome():
    whole = curve(*drawn(2000, 3.0), 2000)
    few, some, many = (
        best(LikelihoodCurve([share * nll for nll in whole.nll], 1, 1)) for share in (5 / 2000, 50 / 2000, 1)
    )
    assert 1 < few < some < many == pytest.approx(3, rel=0.1)
    assert best(curve(np.full(100, 0.3), np.zeros(100), 100)) == pytest.approx(LOWEST, rel=0.2)


def test_all_negative_labels_of_a_few_images_do_not_make_a_model_certain():
    found = best(curve(np.array([0.1, 0.3, 0.2]), np.zeros(3), 3))
    assert 0.75 < found < 1
    assert scale(np.array([0.2]), found)[0] > 0.1


def test_no_image_is_no_temperature():
    assert best(add([])) == 1
    assert add([]) == LikelihoodCurve([0.0] * len(GRID), 0, 0)
    assert best(curve(np.empty(0), np.empty(0), 0)) == 1


def test_a_coin_has_any_temperature():
    assert LOWEST <= best(curve(np.full(3, 0.5), np.array([0, 1, 1]), 3)) <= HIGHEST


def test_certainty_stays_finite():
    found = curve(np.array([0.0, 1.0], np.float32), np.array([1, 0]), 2)
    assert np.isfinite(found.nll).all()
    assert (found.examples, found.images) == (2, 2)
    assert scale(np.array([0.0, 0.5, 1.0], np.float32), 4.0) == pytest.approx([0, 0.5, 1], abs=0.02)


def test_scaling_keeps_the_shape_and_can_be_undone():
    p = np.random.default_rng(0).uniform(0.001, 0.999, (2, 3, 4))
    assert scale(p, 1.0) is p
    assert scale(scale(p, 2.5), 1 / 2.5) == pytest.approx(p)
    assert scale(np.array([0.8]), 2.0) == pytest.approx([2 / 3])  # odds of 4 become odds of 2
