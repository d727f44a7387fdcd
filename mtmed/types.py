"""The nouns. One legend of shapes for the whole project:

B batch, C image channels (1), H W pixels, K classes of a head, M boxes of one image, N studies.
Boxes are (x1, y1, x2, y2) in pixels of the image they belong to, origin top left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:  # a stage that trains nothing starts sooner without it
    from torch import Tensor

Array = np.ndarray[Any, Any]
Metrics = dict[str, float]

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class HeadSpec:
    """One learning task, as params.yaml states it.

    Attributes:
        name: the task, e.g. `lesion_segmentation`.
        kind: the module in mtmed/heads that learns it.
        classes: the K things it tells; all heads are multi-label.
        modalities: the modalities it serves; on others it is neither trained nor reported.
        weight: its factor in the hybrid loss.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  (read by pydantic, which this file must not import)

    name: str
    kind: str
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build the network again; it travels inside every model file."""

    encoder: str
    channels: int
    image_size: int
    heads: tuple[HeadSpec, ...]


@dataclass(frozen=True)
class Boxes:
    """The boxes of one image: `xyxy [M,4]` in pixels, `classes [M]` as indices, `scores [M]` of predictions."""

    xyxy: Tensor
    classes: Tensor
    scores: Tensor | None = None


# A segmentation target is a mask Tensor[B,K,H,W], a classification or regression target Tensor[B,K], a detection
# target B Boxes.
Target: TypeAlias = "Tensor | Sequence[Boxes]"


class Labelled:
    """What has labels by head: {head: [K] bool}."""

    labelled: Mapping[str, Array]

    def knows(self, head: str) -> bool:
        """Whether it has a label of any class of the head."""
        return head in self.labelled and bool(self.labelled[head].any())


@dataclass(frozen=True)
class Study(Labelled):
    """One image with its targets, as prepared for the network (H = W = the configured image size).

    Attributes:
        study, patient: pseudonyms, stable within the site.
        image: [H,W] float32 in 0..1, brightness as displayed (MONOCHROME2).
        masks: {head: [K,H,W] bool}.
        boxes: {head: ([M,4] float32 xyxy, [M] int64 class)}.
        values: {head: [K] float32}; 0 or 1 of a class, or a measurement.
        labelled: {head: [K] bool}; a class that is not labelled is unknown, never negative.
        spacing_mm: millimetres per pixel (row, column) of `image`, or None where the source does not say.
        view, laterality: as DICOM has them ("CC", "L"); empty where nothing says.
    """

    study: str
    patient: str
    modality: str
    split: str
    image: Array
    masks: Mapping[str, Array] = field(default_factory=dict)
    boxes: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    values: Mapping[str, Array] = field(default_factory=dict)
    labelled: Mapping[str, Array] = field(default_factory=dict)
    spacing_mm: tuple[float, float] | None = None
    view: str = ""
    laterality: str = ""


@dataclass(frozen=True)
class Batch:
    """`images [B,C,H,W]` in 0..1; `targets[head]`; `labelled[head]` Bool[B,K]. Missing is not negative.

    `studies`: the images' pseudonyms, so that what is wrong with a batch can be traced at the site.
    """

    images: Tensor
    targets: Mapping[str, Target]
    labelled: Mapping[str, Tensor]
    studies: tuple[str, ...] = ()


@dataclass(frozen=True)
class SiteUpdate:
    """The only thing of training that leaves a site: no pixels, no study ids, no pickles.

    Attributes:
        mean: parameters after local training, by name.
        precision: n_k[h] F_k[h] summed over the site's heads, by name; absent names are zero.
        labelled: labelled training images per head.
        examples: training images in all.
        metrics: training losses and validation metrics, flat.
        lineage: hashes of the data and the code, the run's key, and the hash of a model that the site brought.
        gradient: the mean gradient of the site's steps, by name, if the strategy wants it.
    """

    site: str
    round: int
    mean: Mapping[str, Tensor]
    precision: Mapping[str, Tensor]
    labelled: Mapping[str, int]
    examples: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    lineage: Mapping[str, str] = field(default_factory=dict)
    gradient: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class GlobalModel:
    """The federation's state after `round` aggregations (0: freshly initialised).

    `temperatures` by head divide its logits before they become probabilities; 1 where a head has none. `gradient` is
    the mean of the sites' mean gradients in the last round, if the strategy wants it.
    """

    round: int
    mean: Mapping[str, Tensor]
    precision: Mapping[str, Tensor] = field(default_factory=dict)
    lineage: Mapping[str, str] = field(default_factory=dict)
    temperatures: Mapping[str, float] = field(default_factory=dict)
    gradient: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class LikelihoodCurve:
    """The negative log-likelihood at each temperature of a fixed grid, summed over `examples` in `images`."""

    nll: Sequence[float]
    examples: int
    images: int


@dataclass(frozen=True)
class SiteCalibration:
    """What a site tells of its validation patients before the evaluation: `curves[model][head]`, sums and counts."""

    site: str
    curves: Mapping[str, Mapping[str, LikelihoodCurve]]


@dataclass(frozen=True)
class HeadEvaluation:
    """One model, one head, one site: point metrics, patient-bootstrap replicates of each, reliability histogram.

    `calibration` holds three equal-length lists over bins of predicted probability: `count`, `confidence`
    (mean predicted probability) and `frequency` (share of positives); empty for heads without probabilities.
    `unscaled` is the same of the probabilities before they were scaled; empty where that was not asked for.
    """

    metrics: Metrics
    replicates: Mapping[str, Sequence[float]]
    calibration: Mapping[str, Sequence[float]]
    images: int
    patients: int
    unscaled: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class SiteEvaluation:
    """The only thing of evaluation that leaves a site: `heads[model][head]`; nothing with pixels or ids."""

    site: str
    heads: Mapping[str, Mapping[str, HeadEvaluation]]
