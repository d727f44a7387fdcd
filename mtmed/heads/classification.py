"""Classification: the mean and the maximum of every map, a linear layer, cross-entropy, AUROC."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from mtmed.heads._base import Decoder as Base
from mtmed.types import Array, HeadSpec, Metrics, Target

PRIMARY = "auroc"


@dataclass(frozen=True)
class Observation:
    """Probability, truth and presence of the label of one image, [K] each."""

    probability: Array
    truth: Array
    labelled: Array


class Decoder(Base):
    """Logits [B,K] from the mean and the maximum over each of the encoder's maps, projected to `channels`.

    The maximum lets a small lesion decide an image; the maps are not normalised before it, because what is
    normalised over an image no longer says how much of something it shows.
    """

    def __init__(self, spec: HeadSpec, features: Sequence[int], channels: int) -> None:
        super().__init__(spec)
        self.project = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in features)
        self.norm = nn.LayerNorm(2 * channels * len(features))
        self.predictor = nn.Linear(2 * channels * len(features), len(spec.classes))

    def forward(self, features: Sequence[Tensor], size: int) -> Tensor:  # noqa: ARG002
        maps = [F.gelu(layer(f)) for layer, f in zip(self.project, features, strict=True)]
        pooled = [pool for m in maps for pool in (m.mean((2, 3)), m.amax((2, 3)))]
        logits: Tensor = self.predictor(self.norm(torch.cat(pooled, dim=1)))
        return logits.float()

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
