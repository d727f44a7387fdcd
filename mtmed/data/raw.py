"""A study as a data set reader finds it: where its image is and what its targets are, in image pixels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtmed.data.quality import clip_boxes
from mtmed.types import Array, Labelled

# Draws the mask [K,H,W] bool of a head, given the image's (H, W); raises BadStudy where that is impossible.
# It is carried to other processes: a function of a module or a functools.partial of one, no lambda.
MaskLoader = Callable[[tuple[int, int]], Array]
# Measures boxes [M,4] float32 xyxy in pixels where they are known as masks only; like MaskLoader in all else
BoxLoader = Callable[[tuple[int, int]], Array]


@dataclass(frozen=True)
class Labels:
    """The target of one head in one image: `labelled [K]` bool and the part that the head's kind uses.

    Attributes:
        mask: its loader.
        boxes: ([M,4] float32 xyxy in image pixels, or its loader; [M] int64 class).
        values: [K] float32; 0 or 1 of a class, or a measurement.
    """

    labelled: Array
    mask: MaskLoader | None = None
    boxes: tuple[Array | BoxLoader, Array] | None = None
    values: Array | None = None


@dataclass(frozen=True)
class RawStudy(Labelled):
    """One image of a data set with its targets, before any pixel is read.

    Attributes:
        study: the data set's own name of it, unique within the site.
        patient: the data set's own name of the patient, who is never split.
        masks, boxes, values, labelled: by head, as in `Labels`; a head that is absent is not labelled.
        extent_mm: (height, width) of the whole image where the data set says, for files that state no spacing: true of
            a copy at another size too.
        view, laterality: as the data set says ("CC", "L"); empty: the DICOM header may say.
        split: train, validation or test where the data set's own split is wanted, else empty.
        attributes: what else the data set says of it (age, device, ...), by which sites may be made.
        fault: why the reader could not make sense of it; such a study goes to quarantine.
    """

    study: str
    patient: str
    modality: str
    image: Path
    masks: Mapping[str, MaskLoader] = field(default_factory=dict)
    boxes: Mapping[str, tuple[Array | BoxLoader, Array]] = field(default_factory=dict)
    values: Mapping[str, Array] = field(default_factory=dict)
    labelled: Mapping[str, Array] = field(default_factory=dict)
    extent_mm: tuple[float, float] | None = None
    view: str = ""
    laterality: str = ""
    split: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""

    def boxes_within(self, head: str, shape: tuple[int, int]) -> tuple[Array, Array]:
        """The boxes of a head in the image, (H, W), cut at its edge: [M,4] float32 xyxy, [M] int64 class.

        Raises:
            BadStudy: one is outside, or cannot be measured.
        """
        place, classes = self.boxes[head]
        return clip_boxes(place(shape) if callable(place) else place, *shape), classes


def by_head(labels: Mapping[str, Labels]) -> dict[str, Any]:
    """{head: Labels} as the four mappings of a `RawStudy`."""
    return {
        "masks": {h: x.mask for h, x in labels.items() if x.mask is not None},
        "boxes": {h: x.boxes for h, x in labels.items() if x.boxes is not None},
        "values": {h: x.values for h, x in labels.items() if x.values is not None},
        "labelled": {h: x.labelled for h, x in labels.items()},
    }
