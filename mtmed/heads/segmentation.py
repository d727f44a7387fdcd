"""Segmentation: a pyramid decoder to a quarter of the resolution, cross-entropy and soft Dice, Dice metrics."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torchmetrics.functional.classification import binary_stat_scores

from mtmed.heads._base import Decoder as Base
from mtmed.heads._base import Pyramid, convolution, over_labelled, resize
from mtmed.heads._metric import Metric, mean_over_classes
from mtmed.types import Array, HeadSpec, Metrics, Target

FORM = "masks"
PRIMARY = "dice"
METRICS = {
    "dice": Metric(
        "Dice, lesion images",
        "Overlap of predicted and drawn mask, 2|A∩B| / (|A|+|B|), averaged over the images that have a lesion. "
        "An image without a lesion has no Dice; it counts in “false-positive images” instead.",
    ),
    "dice_pooled": Metric(
        "Dice, all pixels",
        "The same overlap, counted once over the pixels of all images together: large lesions weigh more, "
        "and false alarms on images without a lesion lower it.",
    ),
    "false_positive_images": Metric(
        "False-positive images",
        "Share of the images without a lesion on which any pixel was marked. Lower is better.",
        higher_is_better=False,
    ),
}
THRESHOLD = 0.5
PRIOR = -2.0  # the first logit of every pixel: most of an image is not the structure (Lin et al. 2017)
STRIDE = 4  # pixels each way that say the same thing: calibration samples them, a likelihood counts them once
CALIBRATION_GRID = 64  # and at most so many each way: a film of 12 megapixels must not fill the memory


@dataclass(frozen=True)
class Observation:
    """Pixel counts of one image, [K] each, and a sample of its pixels' probabilities and truths [K,P]."""

    true_positive: Array
    false_positive: Array
    false_negative: Array
    labelled: Array
    probability: Array
    truth: Array


class Decoder(Base):
    """Logits [B,K,H,W] at the image's size."""

    def __init__(self, spec: HeadSpec, features: Sequence[int], channels: int) -> None:
        super().__init__(spec)
        self.pyramid = Pyramid(features, channels, (4, 8, 16, 32))
        self.refine = convolution(channels)
        self.predictor = nn.Conv2d(channels, len(spec.classes), 1)
        self.predictor.bias.data.fill_(PRIOR)  # type: ignore[union-attr]

    def forward(self, features: Sequence[Tensor], size: int) -> Tensor:
        finest = self.pyramid(features, size)[0]
        return resize(self.predictor(self.refine(finest)), size)

    def losses(self, outputs: Tensor, target: Target, labelled: Tensor) -> Tensor:
        """Cross-entropy plus soft Dice (Milletari et al. 2016), each a mean over the labelled classes.

        An empty mask has cross-entropy only, as it has no Dice in the metrics.
        """
        assert isinstance(target, Tensor)
        cross_entropy = _pixel_cross_entropy(outputs, target)
        return over_labelled(cross_entropy + _soft_dice(outputs, target), labelled)

    def likelihoods(self, outputs: Tensor, target: Target, labelled: Tensor) -> Tensor:
        """Of the whole mask: a sum over its places, not their mean (docs/decisions/0012)."""
        assert isinstance(target, Tensor)
        places = outputs.shape[2] * outputs.shape[3] / STRIDE**2
        return over_labelled(_pixel_cross_entropy(outputs, target), labelled) * places

    def drawn(self, outputs: Tensor, target: Target, generator: Generator) -> Tensor:  # noqa: ARG002
        """Place by place, not pixel by pixel: the pixels of a place say the same thing."""
        probability = outputs.detach().float().sigmoid()
        places = [math.ceil(n / STRIDE) for n in probability.shape[2:]]
        thresholds = torch.rand(*probability.shape[:2], *places, generator=generator)
        spread = thresholds.repeat_interleave(STRIDE, 2).repeat_interleave(STRIDE, 3)
        height, width = probability.shape[2:]
        return (spread[..., :height, :width].to(probability.device) < probability).float()

    def predict(self, outputs: Tensor) -> Tensor:
        return (outputs.float() / self.temperature).sigmoid()

    def observe(self, prediction: Tensor, target: Target, labelled: Tensor) -> list[Observation]:
        assert isinstance(target, Tensor)
        return [observe_mask(p, t, k) for p, t, k in zip(prediction, target, labelled, strict=True)]


def _pixel_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none").mean((2, 3))


def _soft_dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - soft Dice [B,K], 0 for an empty mask."""
    probability, area = logits.float().sigmoid(), target.sum((2, 3))
    both = (probability * target).sum((2, 3))
    return (1 - (2 * both + 1) / (probability.sum((2, 3)) + area + 1)) * (area > 0)


def observe_mask(prediction: Tensor, target: Tensor, labelled: Tensor) -> Observation:
    """One image's observation from probabilities and truth [K,H,W] and presence [K]."""
    counts = torch.stack(
        [binary_stat_scores(p, t.int(), threshold=THRESHOLD) for p, t in zip(prediction, target, strict=True)]
    )
    stride = max(STRIDE, math.ceil(max(target.shape[1:]) / CALIBRATION_GRID))
    sample = (slice(None), slice(None, None, stride), slice(None, None, stride))
    return Observation(
        true_positive=counts[:, 0].numpy(),
        false_positive=counts[:, 1].numpy(),
        false_negative=counts[:, 3].numpy(),
        labelled=labelled.numpy(),
        probability=prediction[sample].flatten(1).numpy(),
        truth=target[sample].flatten(1).bool().numpy(),
    )


def metrics(observations: Sequence[Observation]) -> Metrics:
    """Dice, each a mean over the classes for which it is defined.

    `dice`: mean over images whose true mask is not empty. `dice_pooled`: over the pixels of all images.
    `false_positive_images`: the share of images with an empty true mask in which anything was predicted;
    such images have no Dice of their own (Dice of an empty mask is a matter of convention; this is ours).
    """
    if not observations:
        return {}
    tp, fp, fn, labelled = (
        np.stack([getattr(o, name) for o in observations])
        for name in ("true_positive", "false_positive", "false_negative", "labelled")
    )
    per_class = [_class_metrics(*(a[labelled[:, k], k] for a in (tp, fp, fn))) for k in range(tp.shape[1])]
    return mean_over_classes(per_class)


def _class_metrics(tp: Array, fp: Array, fn: Array) -> Metrics:
    """The metrics of one class from its labelled images' counts [N]."""
    out: Metrics = {}
    positive = tp + fn > 0
    if positive.any():
        out["dice"] = float(_dice(tp[positive], fp[positive], fn[positive]).mean())
        out["dice_pooled"] = float(_dice(tp.sum(), fp.sum(), fn.sum()))
    if (~positive).any():
        out["false_positive_images"] = float((fp[~positive] > 0).mean())
    return out


def _dice(tp: Array, fp: Array, fn: Array) -> Array:
    return 2 * tp / (2 * tp + fp + fn)


def probabilities(observations: Sequence[Observation]) -> tuple[Array, Array] | None:
    """Probability and truth of the sampled pixels of labelled classes, flat."""
    p = [o.probability[o.labelled].ravel() for o in observations]
    t = [o.truth[o.labelled].ravel() for o in observations]
    return (np.concatenate(p), np.concatenate(t)) if p else None
