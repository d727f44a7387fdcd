import numpy as np
import pytest

from mtmed.evaluation.calibration import error
from mtmed.evaluation.head import evaluate_head
from mtmed.evaluation.temperature import scale


def metrics(sample):
    return {"mean": float(np.mean([p for p, _ in sample]))} if sample else {}


def probabilities(sample):
    return (np.array([p for p, _ in sample]), np.array([t for _, t in sample])) if sample else None


OBSERVATIONS = [(0.1 * i, i > 4) for i in range(10)]
PATIENTS = [f"p{i // 2}" for i in range(10)]


def test_a_head_with_probabilities():
    found = evaluate_head(OBSERVATIONS, PATIENTS, metrics, probabilities, replicates=25, seed=1)
    assert found.metrics["mean"] == pytest.approx(0.45)
    assert 0 < found.metrics["calibration_error"] < 1
    assert {name: len(values) for name, values in found.replicates.items()} == dict.fromkeys(found.metrics, 25)
    assert sum(found.calibration["count"]) == 10
    assert (found.images, found.patients) == (10, 5)


def test_a_head_without_probabilities():
    found = evaluate_head(OBSERVATIONS, PATIENTS, metrics, lambda _: None, replicates=0, seed=1)
    assert set(found.metrics) == {"mean"}
    assert found.replicates == {}
    assert found.calibration == {}


def test_no_observation_is_no_metric():
    found = evaluate_head([], [], metrics, probabilities, replicates=5, seed=1)
    assert (found.metrics, found.replicates, found.images) == ({}, {}, 0)


def test_the_calibration_error_is_that_of_torchmetrics():
    found = evaluate_head(OBSERVATIONS, PATIENTS, metrics, probabilities, replicates=0, seed=1)
    assert found.metrics["calibration_error"] == pytest.approx(error(*probabilities(OBSERVATIONS)))


def test_a_temperature_is_measured_beside_what_it_changes():
    plain = evaluate_head(OBSERVATIONS, PATIENTS, metrics, probabilities, replicates=25, seed=1)
    found = evaluate_head(OBSERVATIONS, PATIENTS, metrics, probabilities, replicates=25, seed=1, temperature=0.5)
    p, t = probabilities(OBSERVATIONS)
    assert found.metrics["calibration_error_unscaled"] == plain.metrics["calibration_error"]
    assert found.metrics["calibration_error"] == pytest.approx(error(scale(p, 0.5), t))
    assert found.metrics["calibration_error"] != plain.metrics["calibration_error"]
    assert found.unscaled == plain.calibration != found.calibration
    assert found.metrics["mean"] == plain.metrics["mean"]
    assert len(found.replicates["calibration_error_unscaled"]) == 25
    assert plain.unscaled == {}
    same = evaluate_head(OBSERVATIONS, PATIENTS, metrics, probabilities, replicates=0, seed=1, temperature=1.0)
    assert same.unscaled == same.calibration == plain.calibration
