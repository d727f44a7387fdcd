"""A model on studies as their reader found them: compared at each image's own size, in its own pixels.

What training stores is shrunk to the network's square, and so are its masks. Here nothing true is shrunk: the
prediction is brought back to the image, and meets the mask and the boxes that were drawn on it. Memory does
not grow with the images: one batch of squares and one image's masks at a time; numbers stay.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtmed.data.geometry import Letterbox, letterbox
from mtmed.data.quality import BadStudy
from mtmed.data.raw import RawStudy
from mtmed.data.sample import read_picture
from mtmed.evaluation.head import evaluate_head
from mtmed.inference import own_size, placed
from mtmed.models.multitask import MultiTask
from mtmed.registry import find
from mtmed.training.observe import predict
from mtmed.types import Boxes, HeadEvaluation, HeadSpec, Target

BATCH = 16


@dataclass(frozen=True)
class Evidence:
    """What was seen: `observed[head]` = (observations, patients), and `quarantine` = (study, reason)."""

    observed: dict[str, tuple[list[Any], list[str]]] = field(default_factory=dict)
    quarantine: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Opened:
    """A study whose image was read: `square [1,1,S,S]` is all that is kept of its pixels."""

    study: RawStudy
    box: Letterbox
    square: Tensor


def observe_raw(
    net: MultiTask,
    studies: Sequence[RawStudy],
    progress: Callable[[int, int], None] | None = None,
) -> Evidence:
    """Observations of every head on the studies that are labelled for it; the others are not opened.

    A study whose image, mask or boxes cannot be used is set aside with the reason, for all heads.
    `progress` is told how many of how many studies are done.
    """
    evidence = Evidence()
    wanted = [s for s in studies if s.fault or any(known.any() for known in s.labelled.values())]
    for start in range(0, len(wanted), BATCH):
        chunk = wanted[start : start + BATCH]
        _observe_batch(net, chunk, evidence)
        if progress:
            progress(start + len(chunk), len(wanted))
    return evidence


def evaluate(net: MultiTask, evidence: Evidence) -> dict[str, HeadEvaluation]:
    """Metrics, calibration and counts of each head that was observed; without a bootstrap."""
    out = {}
    for spec in net.architecture.heads:
        if spec.name in evidence.observed:
            observations, patients = evidence.observed[spec.name]
            kind = find("mtmed.heads", spec.kind, "head kind")
            out[spec.name] = evaluate_head(observations, patients, kind.metrics, kind.probabilities, 0, 0)
    return out


def _observe_batch(net: MultiTask, studies: Sequence[RawStudy], evidence: Evidence) -> None:
    opened = []
    for study in studies:
        try:
            opened.append(_open(study, net.architecture.image_size))
        except BadStudy as error:
            evidence.quarantine.append((study.study, str(error)))
    specs = [h for h in net.architecture.heads if any(o.study.knows(h.name) for o in opened)]
    if not specs:
        return
    outputs = predict(net, torch.cat([o.square for o in opened]), [h.name for h in specs])
    for row, item in enumerate(opened):
        _observe_study(net, item, {h: outputs[h.name][row] for h in specs if item.study.knows(h.name)}, evidence)


def _observe_study(net: MultiTask, item: _Opened, found: dict[HeadSpec, Any], evidence: Evidence) -> None:
    """All heads of a study or, where a mask or a box turns out to be wrong, none."""
    try:
        seen = {h.name: _observation(net, h, own_size(p, item.box), item) for h, p in found.items()}
    except BadStudy as error:
        evidence.quarantine.append((item.study.study, str(error)))
        return
    for head, observation in seen.items():
        observations, patients = evidence.observed.setdefault(head, ([], []))
        observations.append(deepcopy(observation))
        patients.append(item.study.patient)


def _open(study: RawStudy, size: int) -> _Opened:
    picture = read_picture(study)
    height, width = picture.image.shape
    box = letterbox(height, width, size)
    return _Opened(study, box, placed([picture.image], [box]))


def _observation(net: MultiTask, spec: HeadSpec, prediction: Any, item: _Opened) -> Any:
    labelled = torch.from_numpy(np.asarray(item.study.labelled[spec.name], bool))[None]
    batched = [prediction] if isinstance(prediction, Boxes) else prediction[None]
    return net.decoder(spec.name).observe(batched, _target(item, spec), labelled)[0]


def _target(item: _Opened, spec: HeadSpec) -> Target:
    """The truth of one image in its own pixels: [1,K,H,W] bool, [1,K] or one `Boxes`, by the head's kind."""
    study, shape = item.study, (item.box.height, item.box.width)
    if spec.name in study.boxes:
        return [Boxes(*map(torch.from_numpy, study.boxes_within(spec.name, shape)))]
    if spec.name in study.masks:
        return torch.from_numpy(study.masks[spec.name](shape))[None]
    return torch.from_numpy(np.asarray(study.values[spec.name], np.float32))[None]
