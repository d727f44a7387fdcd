"""What was tried in the multi-task model: each variant changes an untrained network, and is named after a +.

    python -m benchmarks.compare run phantom-tuning --arms multitask,multitask+focal,multitask+uncertainty

What won is in mtmed; what did not stays here, so that its rows can be made again.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

from mtmed.heads import detection, segmentation
from mtmed.heads._base import over_labelled
from mtmed.models.multitask import MultiTask
from mtmed.types import Target

PRESENT = 16  # pixels that must be marked for a mask to say that something is there
CLIP, NEGATIVE = 0.05, 4.0


def focal(net: MultiTask) -> None:
    """Masks: focal loss (Lin et al. 2017, gamma 2) in place of cross-entropy, beside soft Dice."""
    for decoder in _of_kind(net, "segmentation"):

        def losses(outputs: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
            values = sigmoid_focal_loss(outputs.float(), target, alpha=-1).mean((2, 3))
            return over_labelled(values + segmentation._soft_dice(outputs, target), labelled)

        decoder.losses = losses


def asymmetric(net: MultiTask) -> None:
    """Classes: the asymmetric loss (Ridnik et al. 2021, equation 7, gamma 0 and 4, margin .05)."""
    for decoder in _of_kind(net, "classification"):

        def losses(outputs: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
            p = outputs.sigmoid()
            shifted = (p - CLIP).clamp(min=0)
            positive = target * F.logsigmoid(outputs)
            negative = (1 - target) * shifted**NEGATIVE * torch.log1p(-shifted)
            return over_labelled(-positive - negative, labelled)

        decoder.losses = losses


def uncertainty(net: MultiTask) -> None:
    """Heads weighted by a learnt variance: exp(-s) loss + s (Kendall et al. 2018, section 3.2, s = log variance)."""
    for decoder in net.heads.values():
        decoder.register_parameter("log_variance", nn.Parameter(torch.zeros(())))
        decoder.losses = _weighed(decoder, decoder.losses)


def _weighed(decoder: Any, losses: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *arguments: torch.exp(-decoder.log_variance) * losses(*arguments) + decoder.log_variance


def shuffle(net: MultiTask) -> None:
    """Masks: a logit for each of the 4 x 4 pixels of a place (Shi et al. 2016), not one that is resized."""
    for decoder in _of_kind(net, "segmentation"):
        before = decoder.predictor
        decoder.predictor = nn.Conv2d(before.in_channels, 16 * before.out_channels, 1)
        decoder.predictor.bias.data.fill_(segmentation.PRIOR)

        def forward(features: Any, size: int, decoder: Any = decoder) -> Tensor:
            return F.pixel_shuffle(decoder.predictor(decoder.refine(decoder.pyramid(features, size)[0])), 4)

        decoder.forward = forward


def attention(net: MultiTask) -> None:
    """Classes and measurements: each map's mean is weighted by a learnt attention (Ilse et al. 2018, equation 8)."""
    for decoder in [*_of_kind(net, "classification"), *_of_kind(net, "regression")]:
        decoder.attention = nn.ModuleList(nn.Conv2d(layer.out_channels, 1, 1) for layer in decoder.project)

        def forward(features: Any, size: int, decoder: Any = decoder) -> Tensor:  # noqa: ARG001
            maps = [F.gelu(layer(f)) for layer, f in zip(decoder.project, features, strict=True)]
            weights = [score(m).flatten(2).softmax(2) for score, m in zip(decoder.attention, maps, strict=True)]
            means = [(m.flatten(2) * w).sum(2) for m, w in zip(maps, weights, strict=True)]
            pooled = [pool for mean, m in zip(means, maps, strict=True) for pool in (mean, m.amax((2, 3)))]
            return decoder.predictor(decoder.norm(torch.cat(pooled, dim=1))).float()

        decoder.forward = forward


def consistent(net: MultiTask) -> None:
    """Where an image has boxes and no mask, or a mask and no boxes, the unlabelled head agrees that something is there.

    A squared difference of the two heads' probabilities of presence; the labelled one is taken as it is.
    """
    seen: dict[str, Any] = {}
    plain = net.forward

    def forward(images: Tensor, heads: Iterable[str]) -> dict[str, Any]:
        seen.clear()
        seen.update(plain(images, heads))
        return dict(seen)

    net.forward = forward  # type: ignore[method-assign]
    masks, boxes = (next(iter(_of_kind(net, kind))) for kind in ("segmentation", "detection"))
    box_losses = boxes.losses

    def losses(outputs: detection.Outputs, target: Target, labelled: Tensor) -> Tensor:
        own: Tensor = box_losses(outputs, target, labelled)
        drawn = seen.get(masks.spec.name)
        if drawn is None:
            return own
        marked = drawn.flatten(1).topk(PRESENT).values.sigmoid().mean(1)
        boxed = outputs.logits.sigmoid().amax((1, 2))
        return own + (marked - boxed.detach()) ** 2 * labelled.any(1)

    boxes.losses = losses


def _of_kind(net: MultiTask, kind: str) -> list[Any]:
    return [decoder for decoder in net.heads.values() if decoder.spec.kind == kind]  # type: ignore[union-attr]


VARIANTS: dict[str, Callable[[MultiTask], None]] = {
    f.__name__: f for f in (focal, asymmetric, uncertainty, shuffle, attention, consistent)
}
