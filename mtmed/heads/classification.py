"""Classification: local evidence pooled over the image, cross-entropy, AUROC."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from mtmed.heads._base import Decoder as Base
from mtmed.heads._base import Pyramid, convolution
from mtmed.types import Array, HeadSpec, Metrics, Target

PRIMARY = "auroc"


@dataclass(frozen=True)
class Observation:
    """Probability, truth and presence of the label of one image, [K] each."""

    probability: Array
    truth: Array
    labelled: Array


class Decoder(Base):
    """Logits [B,K]: a score at every place of a coarse map, pooled by log-mean-exp.

    The pooling lies between mean and maximum (Pinheiro and Collobert 2015): a small lesion decides an image.
    """

    def __init__(self, spec: HeadSpec, features: Sequence[int], channels: int) -> None:
        super().__init__(spec)
        self.pyramid = Pyramid(features, channels, (8, 16, 32))
        self.refine = convolution(channels)
        self.predictor = nn.Conv2d(channels, len(spec.classes), 1)

    def forward(self, features: Sequence[Tensor], size: int) -> Tensor:
        scores = self.predictor(self.refine(self.pyramid(features, size)[0])).float().flatten(2)
        return scores.logsumexp(2) - math.log(scores.shape[2])

    def losses(self, outputs: Tensor, target: Target, labelled: Tensor) -> Tensor:
        assert isinstance(target, Tensor)
        known = labelled.float()
        values = F.binary_cross_entropy_with_logits(outputs, target, reduction="none") * known
        return values.sum(1) / known.sum(1).clamp(min=1)

    def likelihoods(self, outputs: Tensor, target: Target, labelled: Tensor) -> Tensor:
        return self.losses(outputs, target, labelled)

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()

    def observe(self, prediction: Tensor, target: Target, labelled: Tensor) -> list[Observation]:
        assert isinstance(target, Tensor)
        rows = zip(prediction.numpy(), target.numpy(), labelled.numpy(), strict=True)
        return [Observation(p, t.astype(bool), k) for p, t, k in rows]


def metrics(observations: Sequence[Observation]) -> Metrics:
    """AUROC and average precision, means over the classes that have both positives and negatives."""
    if not observations:
        return {}
    p, t, labelled = (
        np.stack([getattr(o, name) for o in observations]) for name in ("probability", "truth", "labelled")
    )
    columns = [(p[labelled[:, k], k], t[labelled[:, k], k]) for k in range(p.shape[1])]
    both = [(torch.tensor(a), torch.tensor(b).int()) for a, b in columns if b.any() and not b.all()]
    if not both:
        return {}
    return {
        "auroc": float(np.mean([binary_auroc(a, b) for a, b in both])),
        "average_precision": float(np.mean([binary_average_precision(a, b) for a, b in both])),
    }


def probabilities(observations: Sequence[Observation]) -> tuple[Array, Array] | None:
    """Probability and truth of all labelled classes, flat."""
    p = [o.probability[o.labelled] for o in observations]
    t = [o.truth[o.labelled] for o in observations]
    return (np.concatenate(p), np.concatenate(t)) if p else None
