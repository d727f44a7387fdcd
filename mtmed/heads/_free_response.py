"""Free-response analysis: how many lesions are found at a tolerated number of false positives per image."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou

from mtmed.types import Boxes

HIT = 0.2  # IoU at which a box points at the lesion (usual in computer-aided detection)


def recall_at(false_positives: float, lesions: int, images: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Recall at the lowest score threshold with at most `false_positives` per image.

    Args:
        lesions: how many true boxes there are in all.
        images: what `hits` gives of each image.
    """
    scores, found = (torch.cat(parts) for parts in zip(*images, strict=True))
    scores, order = scores.sort(descending=True, stable=True)
    found = found[order]
    last = torch.searchsorted(-scores, -scores, right=True) - 1  # equal scores pass the threshold together
    tolerated = (~found).cumsum(0)[last] <= false_positives * len(images)
    return float(found[tolerated].sum() / lesions)


def hits(predicted: Boxes, true: Boxes) -> tuple[Tensor, Tensor]:
    """Scores [M] and whether each prediction is the first to find some lesion; better scores choose first."""
    assert predicted.scores is not None
    order = predicted.scores.argsort(descending=True, stable=True)
    overlap = box_iou(predicted.xyxy[order], true.xyxy)
    overlap = overlap * (predicted.classes[order][:, None] == true.classes[None])
    found = torch.zeros(len(order), dtype=torch.bool)
    for row in range(len(order)):
        if overlap.shape[1] and float(overlap[row].max()) >= HIT:
            found[row] = True
            overlap[:, int(overlap[row].argmax())] = 0
    return predicted.scores[order], found
