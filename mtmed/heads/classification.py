"""Classification: the mean and the maximum of every map, a linear layer, cross-entropy, AUROC."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from mtmed.heads._base import over_labelled
from mtmed.heads._metric import Metric
from mtmed.heads._whole_image import WholeImage
from mtmed.types import Array, Metrics, Target

FORM = "probabilities"
PRIMARY = "auroc"
METRICS = {
    "auroc": Metric(
        "AUROC",
        "The probability that a study with the finding scores above a study without it; .5 is chance. "
        "Undefined where the test studies are all positive or all negative.",
    ),
    "average_precision": Metric(
        "Average precision", "Area under precision against recall; chance is the prevalence, not .5."
    ),
}


@dataclass(frozen=True)
class Observation:
    """Probability, truth and presence of the label of one image, [K] each."""

    probability: Array
    truth: Array
    labelled: Array


class Decoder(WholeImage):
    """Logits [B,K]."""

    def losses(self, outputs: Tensor, target: Target, labelled: Tensor) -> Tensor:
        assert isinstance(target, Tensor)
        return over_labelled(F.binary_cross_entropy_with_logits(outputs, target, reduction="none"), labelled)

    def likelihoods(self, outputs: Tensor, target: Target, labelled: Tensor) -> Tensor:
        return self.losses(outputs, target, labelled)

    def drawn(self, outputs: Tensor, target: Target, generator: Generator) -> Tensor:  # noqa: ARG002
        probability = outputs.detach().float().sigmoid()
        return (torch.rand(probability.shape, generator=generator).to(probability.device) < probability).float()

    def predict(self, outputs: Tensor) -> Tensor:
        return (outputs / self.temperature).sigmoid()

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
