"""Detection: FCOS (Tian et al. 2019) from torchvision's parts, on a pyramid of strides 8, 16, 32."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSRegressionHead
from torchvision.ops import batched_nms, generalized_box_iou_loss, sigmoid_focal_loss

from mtmed.heads._average_precision import Matches, average_precision, match
from mtmed.heads._base import Decoder as Base
from mtmed.heads._base import Pyramid
from mtmed.heads._free_response import hits, recall_at
from mtmed.heads._metric import Metric
from mtmed.types import Array, Boxes, HeadSpec, Metrics, Target

FORM = "boxes"
PRIMARY = "map50"
METRICS = {
    "map": Metric("mAP .50–.95", "Mean average precision over box overlaps (IoU) of .50 to .95 (COCO)."),
    "map50": Metric(
        "mAP at IoU .50",
        "Mean average precision: the area under precision against recall, where a box is a hit if it "
        "overlaps a drawn box by at least half of their union.",
    ),
    "recall_1fp": Metric(
        "Recall at 1 FP/image",
        "Share of the lesions that are pointed at when one false mark per image, on average, is tolerated.",
    ),
}
STRIDES = (8, 16, 32)
REACH = 3.0  # a level answers for boxes whose farthest side is within REACH strides of the place
CENTRE = 1.5  # places within CENTRE strides of a box's centre are positive (centre sampling)
SCORE, OVERLAP, KEEP = 0.05, 0.3, 50


@dataclass(frozen=True)
class Outputs:
    """Of A places: class logits [B,A,K], distances to the four sides in strides [B,A,4], centredness [B,A].

    `centres [A,2]` in pixels (x, y), `strides [A]` in pixels.
    """

    logits: Tensor
    distances: Tensor
    centredness: Tensor
    centres: Tensor
    strides: Tensor


@dataclass(frozen=True)
class Observation:
    """Predicted and true boxes of one image, of labelled classes only; matched once, however often it is resampled."""

    predicted: Boxes
    true: Boxes

    @cached_property
    def matches(self) -> Matches:
        """For the average precision."""
        return match(self.predicted, self.true)

    @cached_property
    def hits(self) -> tuple[Tensor, Tensor]:
        """For the free-response recall."""
        return hits(self.predicted, self.true)


class Regressor(FCOSRegressionHead):
    """Distances by softplus: where torchvision's ReLU comes to say 0, there is no gradient to leave it."""

    def forward(self, x: list[Tensor]) -> tuple[Tensor, Tensor]:
        towers = [self.conv(level) for level in x]
        distances = [F.softplus(self.bbox_reg(tower)) for tower in towers]
        return _by_place(distances), _by_place([self.bbox_ctrness(tower) for tower in towers])


def _by_place(levels: Sequence[Tensor]) -> Tensor:
    """Maps [B,C,H,W] of all levels as [B,A,C]."""
    return torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)


class Decoder(Base):
    """Anchor-free detection; GroupNorm has one group so that channels can be permuted."""

    def __init__(self, spec: HeadSpec, features: Sequence[int], channels: int) -> None:
        super().__init__(spec)
        norm = partial(nn.GroupNorm, 1)
        self.pyramid = Pyramid(features, channels, STRIDES)
        self.classifier = FCOSClassificationHead(channels, 1, len(spec.classes), num_convs=2, norm_layer=norm)
        self.regressor = Regressor(channels, 1, num_convs=2, norm_layer=norm)

    def forward(self, features: Sequence[Tensor], size: int) -> Outputs:
        levels = self.pyramid(features, size)
        logits = self.classifier(levels)
        distances, centredness = self.regressor(levels)
        centres, strides = _places([level.shape[-1] for level in levels], size, logits.device)
        return Outputs(logits.float(), distances.float(), centredness.float()[..., 0], centres, strides)

    def losses(self, outputs: Outputs, target: Target, labelled: Tensor) -> Tensor:
        """Focal loss, generalised IoU loss and centredness, each divided by the image's positive places."""
        wanted, image, place, owned = _positives(outputs, target, labelled)
        known = labelled[:, None].to(outputs.logits.dtype)
        positives = torch.bincount(image, minlength=len(labelled)).clamp(min=1)
        focal = (sigmoid_focal_loss(outputs.logits, wanted) * known).sum((1, 2)) / positives
        if not len(image):
            return focal
        box = generalized_box_iou_loss(_decode(outputs)[image, place], owned)
        wanted_centre = _centredness(outputs.centres[place], owned)
        logits = outputs.centredness[image, place]
        centre = F.binary_cross_entropy_with_logits(logits, wanted_centre, reduction="none")
        return focal + torch.zeros_like(focal).index_add(0, image, box + centre) / positives

    def likelihoods(self, outputs: Outputs, target: Target, labelled: Tensor) -> Tensor:
        return self.losses(outputs, target, labelled)

    def predict(self, outputs: Outputs) -> list[Boxes]:
        return self.finish(self.tensors(outputs))

    def tensors(self, outputs: Outputs) -> dict[str, Tensor]:
        """`boxes [B,A,4]` in pixels, cut at the image's edge, and `scores [B,A,K]`, of all places."""
        scores = (outputs.logits.sigmoid() * outputs.centredness.sigmoid()[..., None]).sqrt()
        size = outputs.centres.max() + outputs.strides.min() / 2
        return {"boxes": _decode(outputs).clamp(min=0).minimum(size), "scores": scores}

    @staticmethod
    def finish(tensors: Mapping[str, Tensor]) -> list[Boxes]:
        """The best of overlapping boxes, image by image."""
        return [_best_places(*row) for row in zip(tensors["boxes"], tensors["scores"], strict=True)]

    def observe(self, prediction: list[Boxes], target: Target, labelled: Tensor) -> list[Observation]:
        rows = zip(prediction, _rows(target, labelled), strict=True)
        return [Observation(_known(p, k), _known(t, k)) for p, (t, k) in rows]


def merge(found: Sequence[Boxes]) -> Boxes:
    """One image's boxes from several views of it, all in the same pixels: each lesion once."""
    scores = [b.scores for b in found if b.scores is not None]
    return _best(*(torch.cat(x) for x in ([b.xyxy for b in found], [b.classes for b in found], scores)))


def _best_places(boxes: Tensor, scores: Tensor) -> Boxes:
    """The boxes of one image from those of all places [A,4] and their scores [A,K]."""
    place, cls = torch.nonzero(scores > SCORE, as_tuple=True)
    return _best(boxes[place], cls, scores[place, cls])


def _best(boxes: Tensor, classes: Tensor, scores: Tensor) -> Boxes:
    """Best first; what overlaps a better box of its class is left out."""
    keep = batched_nms(boxes, scores, classes, OVERLAP)[:KEEP]
    return Boxes(boxes[keep], classes[keep], scores[keep])


def _rows(target: Target, labelled: Tensor) -> list[tuple[Boxes, Tensor]]:
    boxes = [b for b in target if isinstance(b, Boxes)]
    return list(zip(boxes, labelled, strict=True))


def _known(boxes: Boxes, labelled: Tensor) -> Boxes:
    """The boxes of labelled classes."""
    keep = labelled[boxes.classes]
    return Boxes(boxes.xyxy[keep], boxes.classes[keep], None if boxes.scores is None else boxes.scores[keep])


def _places(widths: Sequence[int], size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres [A,2] (x, y) and strides [A] of all places, level by level, row by row."""
    centres, strides = [], []
    for width in widths:
        stride = size / width
        line = (torch.arange(width, device=device) + 0.5) * stride
        y, x = torch.meshgrid(line, line, indexing="ij")
        centres.append(torch.stack([x.flatten(), y.flatten()], 1))
        strides.append(torch.full((width * width,), stride, device=device))
    return torch.cat(centres), torch.cat(strides)


def _sides(centres: Tensor, boxes: Tensor) -> Tensor:
    """Distances [A,M,4] in pixels from places to the left, top, right and bottom sides of boxes."""
    x, y = centres[:, None, 0], centres[:, None, 1]
    x1, y1, x2, y2 = boxes[None].unbind(-1)
    return torch.stack([x - x1, y - y1, x2 - x, y2 - y], -1)


def _assign(centres: Tensor, strides: Tensor, boxes: Tensor) -> Tensor:
    """The box that each place answers for, [A]: -1 for none, the smallest where several claim it."""
    if len(boxes) == 0:
        return torch.full((len(centres),), -1, device=centres.device)
    sides = _sides(centres, boxes)
    farthest = sides.amax(-1) / strides[:, None]
    finest, coarsest = strides == strides.min(), strides == strides.max()
    reached = (farthest <= REACH) | coarsest[:, None]
    reached &= (farthest > REACH / 2) | finest[:, None]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    central = (centres[:, None] - middle[None]).abs().amax(-1) < CENTRE * strides[:, None]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    cost = torch.where((sides.amin(-1) > 0) & reached & central, area[None], torch.inf)
    best, owner = cost.min(1)
    return torch.where(best.isfinite(), owner, -1)


def _positives(outputs: Outputs, target: Target, labelled: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the places of a batch should say: classes [B,A,K], and of the P positive places the index of the
    image [P], of the place [P], and the box [P,4] that it answers for."""
    wanted = torch.zeros_like(outputs.logits)
    images, places, boxes = [], [], []
    for index, (row, known) in enumerate(_rows(target, labelled)):
        true = _known(row, known)
        owner = _assign(outputs.centres, outputs.strides, true.xyxy)
        (place,) = torch.nonzero(owner >= 0, as_tuple=True)
        wanted[index, place, true.classes[owner[place]]] = 1
        images.append(torch.full_like(place, index))
        places.append(place)
        boxes.append(true.xyxy[owner[place]])
    return wanted, torch.cat(images), torch.cat(places), torch.cat(boxes)


def _decode(outputs: Outputs) -> Tensor:
    """Boxes [B,A,4] in pixels."""
    reach = outputs.distances * outputs.strides[:, None]
    return torch.cat([outputs.centres - reach[..., :2], outputs.centres + reach[..., 2:]], 2)


def _centredness(centres: Tensor, boxes: Tensor) -> Tensor:
    """1 in the middle of its own box, 0 on its border [A] (Tian et al. 2019, equation 3)."""
    x, y = centres.unbind(1)
    x1, y1, x2, y2 = boxes.unbind(1)
    left, right, top, bottom = x - x1, x2 - x, y - y1, y2 - y
    across = torch.minimum(left, right) / torch.maximum(left, right)
    down = torch.minimum(top, bottom) / torch.maximum(top, bottom)
    return (across * down).clamp(min=0).sqrt()


def metrics(observations: Sequence[Observation]) -> Metrics:
    """`map` (COCO, IoU .50 to .95), `map50`, and `recall_1fp`: recall at one false positive per image.

    A prediction counts as a hit in `recall_1fp` at IoU 0.2: the reader must be shown the place, not the outline.
    All are undefined without any true box.
    """
    lesions = sum(len(o.true.xyxy) for o in observations)
    if not lesions:
        return {}
    precision, precision50 = average_precision([o.matches for o in observations])
    recall = recall_at(1.0, lesions, [o.hits for o in observations])
    return {"map": precision, "map50": precision50, "recall_1fp": recall}


def probabilities(observations: Sequence[Observation]) -> tuple[Array, Array] | None:  # noqa: ARG001
    """None: a box's score is no probability of an event that was counted."""
    return None
