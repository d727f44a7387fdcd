"""One model, one head, one site: metrics, their spread over patients, and the calibration."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mtmed.evaluation import bootstrap, calibration
from mtmed.evaluation.bootstrap import Measure
from mtmed.types import Array, HeadEvaluation, Metrics

Probabilities = Callable[[Sequence[Any]], tuple[Array, Array] | None]


def evaluate_head(
    observations: Sequence[Any],
    patients: Sequence[str],
    metrics: Measure,
    probabilities: Probabilities,
    replicates: int,
    seed: int,
) -> HeadEvaluation:
    """What leaves the site about one head of one model.

    Args:
        observations: one per image that is labelled for the head; only the head's kind looks inside.
        patients: the patient of each observation; used to resample and to count, and left behind.
        metrics, probabilities: the two functions of the head's kind; the probabilities of several
            observations are those of each, together.
        replicates: how many resamples of the patients; 0 for none.
        seed: the same for all models of a site, so that their replicates pair up.
    """
    # binned once per observation and then added up: a resample need not go through all pixels again
    binned = [_sums(probabilities([o])) for o in observations]
    pairs = list(zip(observations, binned, strict=True))

    def measure(sample: Sequence[tuple[Any, Array]]) -> Metrics:
        histogram = _histogram([b for _, b in sample])
        error = calibration.error_of(histogram)
        return {**metrics([o for o, _ in sample]), **({} if error is None else {"calibration_error": error})}

    return HeadEvaluation(
        metrics=bootstrap.finite(measure(pairs)),
        replicates=bootstrap.replicates(pairs, patients, measure, replicates, seed),
        calibration=_histogram(binned),
        images=len(observations),
        patients=len(set(patients)),
    )


def _sums(pair: tuple[Array, Array] | None) -> Array:
    return calibration.sums(np.empty(0), np.empty(0)) if pair is None else calibration.sums(*pair)


def _histogram(binned: Sequence[Array]) -> dict[str, list[float]]:
    """The histogram of all; empty where there is no example."""
    total = np.sum(binned, axis=0) if binned else np.zeros(1)
    return calibration.of_sums(total) if total.any() else {}
