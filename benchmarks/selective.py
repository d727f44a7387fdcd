"""Selective prediction: how large is the risk of what remains when the least confident predictions are set aside?

The risk-coverage curve (Geifman and El-Yaniv 2017), the area under it, and its excess over the curve of an oracle that
knows the losses (Geifman, Uziel and El-Yaniv 2019).
"""

import numpy as np

from mtmed.types import Array


def risk_coverage(confidence: Array, loss: Array) -> tuple[Array, Array]:
    """Coverage k/N, k = 1..N, and the mean loss of the k most confident of N predictions, [N] each.

    Where confidences are equal, the loss is the mean over all orders of them: an order of storage is no confidence.
    """
    confidence, loss = np.asarray(confidence, float).ravel(), np.asarray(loss, float).ravel()
    if confidence.shape != loss.shape:
        raise ValueError(f"expected a confidence per loss, got {len(confidence)} for {len(loss)}")
    if not len(loss) or not (np.isfinite(confidence).all() and np.isfinite(loss).all()):
        raise ValueError("expected at least one prediction, with finite confidences and losses")
    _, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    mean = np.bincount(group, loss) / size
    count = np.arange(1, len(loss) + 1)
    return count / len(loss), np.cumsum(np.repeat(mean, size)) / count


def area(confidence: Array, loss: Array) -> float:
    """The area under the risk-coverage curve: the mean of its risks; lower is better."""
    return float(risk_coverage(confidence, loss)[1].mean())


def excess(confidence: Array, loss: Array) -> float:
    """The area beyond that of the oracle, which ranks by the losses themselves: 0 is the best that ranking can do."""
    return area(confidence, loss) - area(-np.asarray(loss), loss)
