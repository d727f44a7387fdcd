import numpy as np
import pytest

from mtmed.evaluation.uncertainty import entropy, soft_dice


def test_entropy_by_hand():
    assert entropy(np.array([[0.0, 0.5], [1.0, 0.25]])) == pytest.approx(np.array([[0, 1], [0, 0.811278]]))


def test_soft_dice_of_what_is_sure_of_half_sure_and_of_nothing():
    assert soft_dice(np.array([[1.0, 1.0], [0.0, 0.0]])) == 1
    assert soft_dice(np.array([[0.75, 0.75], [0.25, 0.25]])) == pytest.approx(1.5 * 2 / (2 + 2))
    assert soft_dice(np.full((2, 2), 0.4)) == 0


@pytest.mark.parametrize("seed", range(3))
def test_soft_dice_is_the_dice_to_expect_where_pixels_are_independent(seed):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.6, 0.9, (40, 40))
    mask, truth = p > 0.5, rng.random((200, 40, 40)) < p
    dice = 2 * (truth & mask).sum((1, 2)) / (truth.sum((1, 2)) + mask.sum())
    assert soft_dice(p) == pytest.approx(dice.mean(), abs=0.01)
