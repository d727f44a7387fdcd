import numpy as np
import pytest

from mtmed.evaluation.bootstrap import MINIMUM, finite, interval, replicates


def mean(sample):
    return {"mean": float(np.mean(sample))}


def test_images_of_a_patient_go_together():
    drawn = replicates([1, 2, 3, 4], ["a", "a", "b", "b"], lambda s: {"odd": sum(x % 2 for x in s)}, 50, seed=0)
    assert set(drawn["odd"]) == {2.0}  # any two patients bring two odd images


def test_the_same_seed_draws_the_same_patients_for_every_model():
    patients = [f"p{i}" for i in range(12)]
    one = replicates(list(range(12)), patients, mean, 30, seed=3)["mean"]
    other = replicates([x + 100 for x in range(12)], patients, mean, 30, seed=3)["mean"]
    assert np.allclose(np.array(other) - one, 100)
    assert one != replicates(list(range(12)), patients, mean, 30, seed=4)["mean"]


def test_undefined_replicates_are_dropped():
    def only_with_a_one(sample):
        return {"x": 1.0 if 1 in sample else float("nan"), **({"y": 1.0} if 1 in sample else {})}

    drawn = replicates([0, 0, 1], ["a", "b", "c"], only_with_a_one, 200, seed=0)
    assert 0 < len(drawn["x"]) == len(drawn["y"]) < 200


def test_nothing_to_draw():
    assert replicates([], [], mean, 10, seed=0) == {}
    assert replicates([1.0], ["a"], mean, 0, seed=0) == {}


def test_a_patient_is_expected_for_every_observation():
    with pytest.raises(ValueError, match="a patient per observation, got 1 for 2"):
        replicates([1, 2], ["a"], mean, 10, seed=0)


def test_an_interval_needs_replicates():
    assert interval([0.5] * (MINIMUM - 1)) is None
    assert interval([0.5] * (MINIMUM - 1) + [float("nan")]) is None
    assert interval([0.5] * MINIMUM) == (0.5, 0.5)
    assert interval(np.linspace(0, 1, 101).tolist(), level=0.9) == pytest.approx((0.05, 0.95))


def test_finite_leaves_out_what_json_cannot_say():
    assert finite({"a": 1, "b": float("nan"), "c": float("inf")}) == {"a": 1.0}
