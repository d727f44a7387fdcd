import numpy as np
import pytest

from benchmarks.selective import area, excess, risk_coverage


def test_by_hand():
    coverage, risk = risk_coverage([0.9, 0.2, 0.6, 0.4], [0.0, 1.0, 0.2, 0.4])
    assert coverage == pytest.approx([0.25, 0.5, 0.75, 1])
    assert risk == pytest.approx([0, 0.1, 0.2, 0.4])
    assert area([0.9, 0.2, 0.6, 0.4], [0.0, 1.0, 0.2, 0.4]) == pytest.approx(0.175)


def test_the_wrong_way_round_is_as_far_from_the_oracle_as_can_be():
    loss = np.array([0.0, 0.5, 1.0])
    assert excess(-loss, loss) == 0
    assert excess(loss, loss) == pytest.approx((1 + 0.75 + 0.5) / 3 - (0 + 0.25 + 0.5) / 3)


def test_equal_confidences_in_any_order():
    assert area([0.5, 0.5], [0, 1]) == area([0.5, 0.5], [1, 0]) == 0.5
    assert area([0.9, 0.5, 0.5], [0, 0, 1]) == pytest.approx((0 + 0.25 + 1 / 3) / 3)


@pytest.mark.parametrize(
    ("confidence", "loss", "said"),
    [
        ([], [], "at least one prediction"),
        ([float("nan")], [0.1], "finite"),
        ([0.1], [float("inf")], "finite"),
        ([0.1, 0.2], [0.1], "a confidence per loss, got 2 for 1"),
    ],
)
def test_what_cannot_be_ranked_is_refused(confidence, loss, said):
    with pytest.raises(ValueError, match=said):
        area(confidence, loss)
