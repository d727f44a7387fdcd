"""COCO's average precision, by pycocotools, over images whose boxes are matched once.

A bootstrap asks for the metric of hundreds of resamples of the same images. The matching of an image's boxes does
not depend on the other images, and is nearly all of the work: it is done once per image, and a resample only
accumulates.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from pycocotools import cocoeval

from mtmed.types import Array, Boxes

EVERYWHERE = [[0, 1e10]]  # boxes of all sizes
MOST = [100]  # predictions of an image that count

Matches = Mapping[int, Any]  # {class: what pycocotools says of one image}

# it reports each step on standard output, which belongs to whoever called the program
cocoeval.print = lambda *_: None


def match(predicted: Boxes, true: Boxes) -> Matches:
    """Which predictions of one image hit which true boxes, at every IoU threshold, by class."""
    coco = _evaluation([0])
    coco._gts, coco._dts = _annotations(true), _annotations(predicted)
    classes = sorted({c for _, c in [*coco._gts, *coco._dts]})
    coco.ious = {(0, c): coco.computeIoU(0, c) for c in classes}
    return {c: coco.evaluateImg(0, c, EVERYWHERE[0], MOST[0]) for c in classes}


def average_precision(images: Sequence[Matches]) -> tuple[float, float]:
    """mAP over IoU .50 to .95 and mAP at IoU .50, means over the classes that have a true box."""
    coco = _evaluation(list(range(len(images))))
    coco.params.catIds = sorted({c for matches in images for c in matches})
    coco.evalImgs = [matches.get(c) for c in coco.params.catIds for matches in images]
    coco._paramsEval = deepcopy(coco.params)
    coco.accumulate()
    precision: Array = coco.eval["precision"][..., 0, 0]  # [thresholds, recalls, classes]; -1 without a true box
    return _mean(precision), _mean(precision[:1])


def _mean(precision: Array) -> float:
    return float(precision[precision > -1].mean())


def _evaluation(images: list[int]) -> Any:
    coco = cocoeval.COCOeval(iouType="bbox")
    coco.params.imgIds, coco.params.areaRng, coco.params.maxDets = images, EVERYWHERE, MOST
    return coco


def _annotations(boxes: Boxes) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """As COCO has them: {(image, class): [{"bbox": [x, y, width, height], ...}]}; ids from 1, for 0 is no match."""
    out = defaultdict(list)
    xyxy = boxes.xyxy.double().numpy()
    xywh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)
    scores = [1.0] * len(xywh) if boxes.scores is None else boxes.scores.tolist()
    for number, (box, cls, score) in enumerate(zip(xywh, boxes.classes.tolist(), scores, strict=True), 1):
        entry = {"id": number, "bbox": box.tolist(), "area": float(box[2] * box[3]), "score": score}
        out[0, int(cls)].append(entry | {"iscrowd": 0, "ignore": 0})
    return out
