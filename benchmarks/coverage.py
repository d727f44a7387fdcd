"""Whether the intervals and tests of the claims keep their promise for ten runs, on data whose truth is known.

    python -m benchmarks.coverage

Prints how often a 95 % interval of the mean of ten differences contains the true mean, by how they are distributed; and
how often two equally good models are told apart at p < .05 by twice 5-fold cross-validation.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from scipy import stats

from benchmarks.evidence.paired import LEVEL, estimate, sign_flip
from mtmed.types import Array

RUNS, FOLDS = 10, 5
DRAWS: dict[str, Callable[[np.random.Generator], Array]] = {
    "normal": lambda rng: rng.normal(0, 1, RUNS),
    "heavy tails (Laplace)": lambda rng: rng.laplace(0, 1, RUNS),
    "skewed (log-normal)": lambda rng: rng.lognormal(0, 0.5, RUNS) - np.exp(0.125),
}


def main(repeats: Annotated[int, typer.Option(help="simulated experiments of each kind")] = 5000) -> None:
    """Print both tables."""
    rng = np.random.default_rng(0)
    rows = [{"differences": name, **_covered([draw(rng) for _ in range(repeats)])} for name, draw in DRAWS.items()]
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".3f"), "\n")
    folds = [_folds(rng) for _ in range(repeats)]
    wrong = {
        "sign flips, as if independent": [sign_flip(d) for d in folds],
        "t-test, as if independent": [stats.ttest_1samp(d, 0).pvalue for d in folds],
        "corrected t-test": [estimate(d, folds=FOLDS).p for d in folds],
    }
    found = [{"test of folds": name, "p < .05": np.mean(np.array(p) < 0.05)} for name, p in wrong.items()]
    print(pd.DataFrame(found).to_markdown(index=False, floatfmt=".3f"))


def _covered(samples: list[Array]) -> dict[str, float]:
    student = [estimate(sample) for sample in samples]
    found = {"Student's t": [(e.low, e.high) for e in student]}
    found |= {f"bootstrap, {how}": [_bootstrap(sample, how) for sample in samples] for how in ("percentile", "BCa")}
    return {name: float(np.mean([low <= 0 <= high for low, high in ends])) for name, ends in found.items()}


def _bootstrap(sample: Array, method: str) -> tuple[float, float]:
    found = stats.bootstrap((sample,), np.mean, n_resamples=999, confidence_level=LEVEL, method=method, rng=0)
    return found.confidence_interval.low, found.confidence_interval.high


def _folds(rng: np.random.Generator, patients: int = 100, features: int = 5) -> Array:
    """Differences [RUNS] of two least-squares models, five features each; all weigh the same: the truth is 0."""
    x = rng.normal(size=(patients, 2 * features))
    y = x.sum(axis=1) + rng.normal(size=patients)
    halves = x[:, :features], x[:, features:]
    tests = [part for _ in range(RUNS // FOLDS) for part in np.array_split(rng.permutation(patients), FOLDS)]
    errors = [[_error(half, y, test) for half in halves] for test in tests]
    return np.array([one - other for one, other in errors])


def _error(x: Array, y: Array, test: Array) -> float:
    train = np.setdiff1d(np.arange(len(y)), test)
    weights = np.linalg.lstsq(x[train], y[train])[0]
    return float(np.mean((y[test] - x[test] @ weights) ** 2))


if __name__ == "__main__":
    typer.run(main)
