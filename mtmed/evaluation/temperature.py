"""Temperature scaling (Guo et al. 2017) without pooling data: sites send a curve per head, and curves add up.

A head's logits are divided by one number, which makes its probabilities less extreme (above 1) or more (below), and
changes nothing else: what exceeds 0.5, and the order of any two probabilities, stay as they are.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit

from mtmed.types import Array, LikelihoodCurve

LOWEST, HIGHEST = 0.25, 4.0
GRID = np.geomspace(LOWEST, HIGHEST, 41)
PRIOR = 0.5  # pulls to 1 where patients are few: a dozen that happen to be easy would make a model far too sure
SCALED = ("masks", "probabilities")  # the forms of predictions that are probabilities; a box's score is none
_SURE = 1 - 2.0**-24  # float32 has nothing between it and 1; below it the logit of a probability is finite
_NEVER = 1e-37


def scale(probability: Array, temperature: float) -> Array:
    """The probabilities that logits divided by `temperature` give, of any shape: sigmoid(logit(p) / T)."""
    if temperature == 1:
        return probability
    return np.asarray(expit(_logits(probability) / temperature))


def curve(probability: Array, truth: Array, images: int) -> LikelihoodCurve:
    """The summed negative log-likelihood of `truth [N]` at each temperature of `GRID`."""
    agreement = _logits(probability) * np.where(truth, 1, -1)
    nll = [float(np.logaddexp(0, -agreement / t).sum()) for t in GRID]
    return LikelihoodCurve(nll, agreement.size, images)


def add(curves: Sequence[LikelihoodCurve]) -> LikelihoodCurve:
    """The curve of the union of several sites' examples."""
    nll = np.sum([c.nll for c in curves], axis=0) if curves else np.zeros(len(GRID))
    return LikelihoodCurve(nll.tolist(), sum(c.examples for c in curves), sum(c.images for c in curves))


def best(of: LikelihoodCurve, prior: float = PRIOR) -> float:
    """The most probable temperature within `GRID`; 1 where there is no example.

    A parabola through the best point and its neighbours, in the logarithm of the temperature, refines the grid.

    Args:
        prior: the deviation of log T around 0 before anything is seen; infinite for maximum likelihood.
    """
    if not of.examples:
        return 1.0
    x = np.log(GRID)
    loss = np.asarray(of.nll) + x**2 / (2 * prior**2)
    at = int(loss.argmin())
    if at in (0, len(GRID) - 1):
        return float(GRID[at])
    left, middle, right = loss[at - 1 : at + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend > 0 else 0.0
    return float(np.exp(x[at] + shift * (x[1] - x[0])))


def _logits(probability: Array) -> Array:
    return np.asarray(logit(np.asarray(probability, np.float64).clip(_NEVER, _SURE)))
