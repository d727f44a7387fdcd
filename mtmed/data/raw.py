"""A study as a data set reader finds it: where its image is and what its targets are, in image pixels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mtmed.types import Array

# Draws the mask [K,H,W] bool of a head, given the image's (H, W); raises BadStudy where that is impossible.
MaskLoader = Callable[[tuple[int, int]], Array]


@dataclass(frozen=True)
class RawStudy:
    """One image of a data set with its targets, before any pixel is read.

    Attributes:
        study: the data set's own name of it, unique within the site.
        patient: the data set's own name of the patient, who is never split.
        masks: {head: loader}.
        boxes: {head: ([M,4] float32 xyxy in image pixels, [M] int64 class)}.
        classes: {head: [K] bool}.
        labelled: {head: [K] bool}; a head that is absent is not labelled.
        fault: why the reader could not make sense of it; such a study goes to quarantine.
    """

    study: str
    patient: str
    modality: str
    image: Path
    masks: Mapping[str, MaskLoader] = field(default_factory=dict)
    boxes: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    classes: Mapping[str, Array] = field(default_factory=dict)
    labelled: Mapping[str, Array] = field(default_factory=dict)
    fault: str = ""
