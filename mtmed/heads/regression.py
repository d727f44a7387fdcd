"""Regression: a measurement per class, Huber's loss on a logarithmic scale, absolute error and concordance.

The classes of a head are measurements in one unit, such as a lesion's longest diameter in mm. The network learns
symlog(y) = sign(y) log(1 + |y|) (Hafner et al. 2023, DreamerV3): measurements are skewed, and an error of 2 mm
matters at 4 mm and not at 80. The scale is fixed, the same at every site, and needs no mean or deviation of
anybody's data. It suits units in which values are about 1 to 1000: mm, years, per cent; not shares of 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torchmetrics.functional.regression import concordance_corrcoef, mean_absolute_error

from mtmed.heads._base import over_labelled
from mtmed.heads._metric import Metric, mean_over_classes
from mtmed.heads._whole_image import WholeImage
from mtmed.types import Array, Metrics, Target

FORM = "measurements"
PRIMARY = "mae"
METRICS = {
    "mae": Metric(
        "Mean absolute error",
        "Mean distance between the predicted and the true measurement, in the measurement's own unit. Lower is better; "
        "there is a gap to close where pooling gains at least 3 % of the site's own error.",
        higher_is_better=False,
        in_units=True,
    ),
    "median_error": Metric(
        "Median absolute error",
        "The distance that half of the predictions keep to the true measurement, in its own unit. Lower is better.",
        higher_is_better=False,
        in_units=True,
    ),
    "concordance": Metric(
        "Concordance",
        "Lin's concordance correlation of predicted and true measurements: 1 where they are equal, 0 for a prediction "
        "that says the same of every study. Undefined where all true measurements are equal.",
    ),
}

# The deviation of one measurement on the logarithmic scale, about 25 % of it: beyond it an error counts linearly.
# A constant: with a deviation that is learnt, or taken from its own data, a site that overfits claims any precision.
SCALE = 0.25
LARGEST = 20.0  # on the logarithmic scale, 5e8: an untrained head says no infinity
EQUAL = 1e-6  # measurements that differ by less are the same


@dataclass(frozen=True)
class Observation:
    """Predicted and true measurements of one image and presence of the true ones, [K] each."""

    predicted: Array
    true: Array
    labelled: Array


class Decoder(WholeImage):
    """symlog of the measurements [B,K]."""

    def losses(self, outputs: Tensor, target: Target, labelled: Tensor) -> Tensor:
        """Huber's loss (1964), a mean over the labelled classes; its slope is at most 1, as that of a cross-entropy."""
        return over_labelled(_huber(outputs, target, labelled), labelled)

    def likelihoods(self, outputs: Tensor, target: Target, labelled: Tensor) -> Tensor:
        """Of all the measurements that the image has: a sum, for each of them is an observation.

        -log p = huber(residual / SCALE) + constant: normal in the middle, with the tails of a Laplace distribution.
        """
        return _huber(outputs, target, labelled).sum(1) / SCALE

    def drawn(self, outputs: Tensor, target: Target, generator: Generator) -> Tensor:  # noqa: ARG002
        """Of a normal distribution, which the likelihood is in its middle."""
        means = outputs.detach().float().clamp(-LARGEST, LARGEST)
        return symexp(means + SCALE * torch.randn(means.shape, generator=generator).to(means.device))

    def predict(self, outputs: Tensor) -> Tensor:
        """Measurements in their own unit."""
        return symexp(outputs.float().clamp(-LARGEST, LARGEST))

    def observe(self, prediction: Tensor, target: Target, labelled: Tensor) -> list[Observation]:
        assert isinstance(target, Tensor)
        rows = zip(prediction.numpy(), target.numpy(), labelled.numpy(), strict=True)
        return [Observation(p, t, k) for p, t, k in rows]


def _huber(outputs: Tensor, target: Target, labelled: Tensor) -> Tensor:
    """SCALE times Huber's function of the residual in SCALEs [B,K]; 0 where nothing is labelled."""
    assert isinstance(target, Tensor)
    known = torch.where(labelled, target, 0)  # first: an unknown measurement may be stored as anything, NaN included
    return F.smooth_l1_loss(outputs, symlog(known), reduction="none", beta=SCALE) * labelled


def symlog(y: Tensor) -> Tensor:
    """sign(y) log(1 + |y|): a logarithm that has 0 and negative numbers.

    >>> symlog(torch.tensor([0.0, 9.0, -9.0])).tolist()
    [0.0, 2.3025851249694824, -2.3025851249694824]
    """
    return y.sign() * y.abs().log1p()


def symexp(z: Tensor) -> Tensor:
    """The inverse of `symlog`."""
    return z.sign() * z.abs().expm1()


def metrics(observations: Sequence[Observation]) -> Metrics:
    """Absolute errors in the measurements' unit and Lin's (1989) concordance; each a mean over the classes."""
    if not observations:
        return {}
    predicted, true, labelled = (
        np.stack([getattr(o, name) for o in observations]) for name in ("predicted", "true", "labelled")
    )
    columns = [(predicted[labelled[:, k], k], true[labelled[:, k], k]) for k in range(labelled.shape[1])]
    return mean_over_classes([_class_metrics(*column) for column in columns])


def _class_metrics(predicted: Array, true: Array) -> Metrics:
    """The metrics of one class from its labelled images' measurements [N]."""
    if not len(true):
        return {}
    p, t = (torch.from_numpy(values).double() for values in (predicted, true))
    out = {"mae": float(mean_absolute_error(p, t)), "median_error": float(np.median(np.abs(predicted - true)))}
    if np.ptp(true) > EQUAL:
        # torchmetrics has no value for predictions that are all equal: they agree with nothing
        out["concordance"] = float(concordance_corrcoef(p, t)) if np.ptp(predicted) > EQUAL else 0.0
    return out


def probabilities(observations: Sequence[Observation]) -> tuple[Array, Array] | None:  # noqa: ARG001
    """None: a measurement is no event."""
    return None
