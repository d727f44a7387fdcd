"""One model, one head, one site: metrics, their spread over patients, and the calibration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtmed.evaluation import bootstrap, calibration
from mtmed.evaluation.bootstrap import Measure
from mtmed.evaluation.temperature import scale
from mtmed.types import Array, HeadEvaluation, Metrics

Probabilities = Callable[[Sequence[Any]], tuple[Array, Array] | None]


def evaluate_head(
    observations: Sequence[Any],
    patients: Sequence[str],
    metrics: Measure,
    probabilities: Probabilities,
    replicates: int,
    seed: int,
    temperature: float | None = None,
) -> HeadEvaluation:
    """What leaves the site about one head of one model.

    Args:
        observations: one per image that is labelled for the head; only the head's kind looks inside.
        patients: the patient of each observation; used to resample and to count, and left behind.
        metrics, probabilities: the two functions of the head's kind; the probabilities of several
            observations are those of each, together.
        replicates: how many resamples of the patients; 0 for none.
        seed: the same for all models of a site, so that their replicates pair up.
        temperature: scales the probabilities for the calibration; what they were without it is told beside. All
            other metrics are the same with and without. None: the probabilities are as the model says them.
    """
    # binned once per observation and then added up: a resample need not go through all pixels again
    binned = [_Binned(o, *_sums(probabilities([o]), temperature)) for o in observations]

    def measure(sample: Sequence[_Binned]) -> Metrics:
        errors = {"calibration_error": _histogram([b.scaled for b in sample])}
        if temperature is not None:
            errors["calibration_error_unscaled"] = _histogram([b.unscaled for b in sample])
        found = {name: calibration.error_of(histogram) for name, histogram in errors.items()}
        return {**metrics([b.observation for b in sample]), **{n: e for n, e in found.items() if e is not None}}

    return HeadEvaluation(
        metrics=bootstrap.finite(measure(binned)),
        replicates=bootstrap.replicates(binned, patients, measure, replicates, seed),
        calibration=_histogram([b.scaled for b in binned]),
        images=len(observations),
        patients=len(set(patients)),
        unscaled=_histogram([b.unscaled for b in binned]) if temperature is not None else {},
    )


@dataclass(frozen=True)
class _Binned:
    """One observation, and the sums of its probabilities by bin, scaled and as the model says them."""

    observation: Any
    scaled: Array
    unscaled: Array


def _sums(pair: tuple[Array, Array] | None, temperature: float | None) -> tuple[Array, Array]:
    p, t = (np.empty(0), np.empty(0)) if pair is None else pair
    unscaled = calibration.sums(p, t)
    return (calibration.sums(scale(p, temperature), t) if temperature else unscaled), unscaled


def _histogram(binned: Sequence[Array]) -> dict[str, list[float]]:
    """The histogram of all; empty where there is no example."""
    total = np.sum(binned, axis=0) if binned else np.zeros(1)
    return calibration.of_sums(total) if total.any() else {}
