import numpy as np
import pytest

from mtmed.evaluation.calibration import BINS, error, error_of, merge, reliability


def test_a_histogram_by_hand():
    histogram = reliability(np.array([0.05, 0.15, 0.17, 1.0]), np.array([0, 1, 0, 1]))
    assert histogram["count"] == [1, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert histogram["confidence"][:3] == pytest.approx([0.05, 0.16, 0])
    assert histogram["frequency"][1] == 0.5
    assert histogram["frequency"][-1] == 1


def test_certainty_that_is_right_is_calibrated():
    truth = np.array([0, 1, 1, 0])
    assert error(truth.astype(float), truth) == pytest.approx(0, abs=1e-9)
    assert error(1.0 - truth, truth) == pytest.approx(1)


def test_single_precision_does_not_lose_pixels():
    p = np.full(1000, 0.7, np.float32)
    assert reliability(p, p > 1)["count"][int(0.7 * BINS)] + reliability(p, p > 1)["count"][6] == 1000


def test_nothing_merges_to_nothing():
    assert merge([]) == {}
    assert merge([{}, {}]) == {}
    assert error_of({}) is None


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"probabilities in 0\.\.1, got"):
        reliability(np.array([1.2]), np.array([1]))
    with pytest.raises(ValueError, match="truths of 0 or 1, got 1 to 255"):
        error(np.array([0.2, 0.3]), np.array([1, 255]))
    with pytest.raises(ValueError, match="a truth per probability"):
        error(np.array([0.2]), np.array([1, 0]))
