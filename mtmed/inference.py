"""What a model says of one image file, in the pixels of that file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtmed import modalities
from mtmed.data import pixels
from mtmed.data.geometry import Letterbox, letterbox
from mtmed.data.quality import BadStudy, check_image, check_modality
from mtmed.errors import UserError
from mtmed.evaluation.uncertainty import soft_dice
from mtmed.models.multitask import MultiTask
from mtmed.registry import find
from mtmed.training.observe import predict
from mtmed.types import Architecture, Array, Boxes, HeadSpec

THRESHOLD = 0.5  # a pixel above it belongs to the mask, here as in the metrics


@dataclass(frozen=True)
class Finding:
    """What one head says of an image of H x W pixels; only one of these is filled, by the `FORM` of the head's kind.

    Attributes:
        masks: {class: probability [H,W] float32} of a segmentation head.
        boxes: of a detection head, `{"class", "score", "xyxy"}` each, best first; may be empty.
        probabilities: {class: probability} of a classification head.
        measurements: {class: value in its own unit} of a regression head.
    """

    masks: dict[str, Array] = field(default_factory=dict)
    boxes: list[dict[str, Any]] = field(default_factory=list)
    probabilities: dict[str, float] = field(default_factory=dict)
    measurements: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """All that a model says of one image; heads that do not serve its modality say nothing.

    `image` [H,W] float32 in 0..1 is the picture as displayed.
    """

    image: Array
    modality: str
    findings: dict[str, Finding]
    spacing_mm: tuple[float, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; of masks their area (`mm2` is null where the spacing is unknown) and confidence (null if empty)."""
        height, width = self.image.shape
        return {
            "height": height,
            "width": width,
            "modality": self.modality,
            "spacing_mm": self.spacing_mm,
            "heads": {name: self._head(finding) for name, finding in self.findings.items()},
        }

    def _head(self, finding: Finding) -> dict[str, Any]:
        if finding.masks:
            area = {name: self._area(values) for name, values in finding.masks.items()}
            sure = {n: round(soft_dice(p), 4) if area[n]["pixels"] else None for n, p in finding.masks.items()}
            return {"area": area, "confidence": sure}
        if finding.probabilities:
            return {"probabilities": finding.probabilities}
        if finding.measurements:
            return {"measurements": finding.measurements}
        return {"boxes": finding.boxes}

    def _area(self, probability: Array) -> dict[str, float | None]:
        inside = int((probability > THRESHOLD).sum())
        mm2 = inside * self.spacing_mm[0] * self.spacing_mm[1] if self.spacing_mm else None
        return {"pixels": inside, "share": inside / probability.size, "mm2": mm2}


def predict_file(net: MultiTask, path: Path, modality: str | None = None) -> Prediction:
    """Predict one DICOM, PNG, JPEG, PGM or TIFF file.

    Args:
        modality: needed where neither the file nor the model settles it.

    Raises:
        UserError: the image cannot be used, or its modality is unknown, contradicted or served by no head.
    """
    picture = pixels.read(path)
    check_image(picture.image)
    known = modality or _modality(picture.modality, net.architecture)
    check_modality(known, picture.modality)
    specs = serving(net.architecture, known)
    height, width = picture.image.shape
    box = letterbox(height, width, net.architecture.image_size)
    outputs = predict(net, placed([picture.image], [box]), [h.name for h in specs])
    findings = {h.name: _finding(own_size(outputs[h.name][0], box), h) for h in specs}
    return Prediction(picture.image, known, findings, picture.spacing_mm)


def serving(architecture: Architecture, modality: str) -> list[HeadSpec]:
    """The heads that serve a modality.

    Raises:
        UserError: there is no such modality, or no head serves it.
    """
    modalities.expect(modality)
    specs = [h for h in architecture.heads if modality in h.modalities]
    if not specs:
        raise UserError(f"the model has no head for {modality}: it serves {', '.join(_served(architecture))}")
    return specs


def placed(images: Sequence[Array], boxes: Sequence[Letterbox]) -> Tensor:
    """Images [H,W] of any size as the network's input [B,1,S,S]."""
    squares = [box.image(image) for image, box in zip(images, boxes, strict=True)]
    return torch.from_numpy(np.stack(squares)[:, None])


def own_size(prediction: Any, box: Letterbox) -> Any:
    """One image's prediction in its own pixels: maps [K,S,S] as [K,H,W], `Boxes` moved, the rest as it is."""
    if isinstance(prediction, Boxes):
        xyxy = torch.from_numpy(box.boxes_back(prediction.xyxy.numpy()))
        return Boxes(xyxy, prediction.classes, prediction.scores)
    if prediction.ndim == 3:
        return torch.from_numpy(box.map_back(prediction.numpy()))
    return prediction


def _served(architecture: Architecture) -> list[str]:
    return sorted({m for h in architecture.heads for m in h.modalities})


def _modality(dicom: str | None, architecture: Architecture) -> str:
    """What the DICOM modality says; the model's own where it serves but one."""
    stated = modalities.of_dicom(dicom)
    if stated:
        return stated
    served = _served(architecture)
    if len(served) == 1:
        return served[0]
    raise BadStudy(f"modality not stated in the file: give --modality {' or '.join(served)}")


def _finding(prediction: Any, spec: HeadSpec) -> Finding:
    said: Any
    if isinstance(prediction, Boxes):
        said = _boxes(prediction, spec)
    else:
        by_class = prediction.numpy() if prediction.ndim == 3 else map(float, prediction)
        said = dict(zip(spec.classes, by_class, strict=True))
    return Finding(**{find("mtmed.heads", spec.kind, "head kind").FORM: said})


def _boxes(found: Boxes, spec: HeadSpec) -> list[dict[str, Any]]:
    assert found.scores is not None
    rows = zip(found.classes.tolist(), found.scores.tolist(), found.xyxy.tolist(), strict=True)
    boxes = [{"class": spec.classes[c], "score": s, "xyxy": [round(v, 2) for v in b]} for c, s, b in rows]
    return sorted(boxes, key=lambda box: -float(box["score"]))
