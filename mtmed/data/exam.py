"""An image in the terms of its data set, and how terms become the targets of heads.

A term is a finding or a structure: lesion, mass, calcification, lung, opacity, pneumonia, malignant, ... What a data
set says nothing of is unknown, never negative. A head's class is the term of the same name, unless `heads` in
a site's options says which terms it is made of.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from mtmed.data.quality import BadStudy
from mtmed.data.raw import Labels, RawStudy, by_head
from mtmed.errors import UserError
from mtmed.types import Array, HeadSpec

# Draws the mask [H,W] bool of one term, given the image's (H, W); carried to other processes, so no lambda
TermLoader = Callable[[tuple[int, int]], Array]
Box = tuple[float, float, float, float]  # x1 y1 x2 y2 in pixels of the image
# {class of the head: the terms any of which it is}; None: the head is not labelled here
Terms = Mapping[str, Sequence[str]] | None
# {what a data set says of its images: the kind of head that learns it}
KINDS = {"masks": "segmentation", "boxes": "detection", "values": "classification", "measurements": "regression"}


@dataclass(frozen=True)
class Exam:
    """One image as its data set describes it.

    Attributes:
        masks: {term: loader}; a term that is drawn nowhere in an image that was looked at has an empty mask.
        boxes: (term, box) of what was found, or the loader of the mask that the box surrounds; one finding may be
            listed under several terms.
        all_boxes: the terms of which `boxes` has every one there is.
        values: {term: 0 absent, 1 present}; what is not there is unknown.
        measurements: {term: number}, where it was measured.
        The others are as in `RawStudy`.
    """

    study: str
    patient: str
    modality: str
    image: Path
    masks: Mapping[str, TermLoader] = field(default_factory=dict)
    boxes: Sequence[tuple[str, Box | TermLoader]] = ()
    all_boxes: frozenset[str] = frozenset()
    values: Mapping[str, float] = field(default_factory=dict)
    measurements: Mapping[str, float] = field(default_factory=dict)
    extent_mm: tuple[float, float] | None = None
    view: str = ""
    laterality: str = ""
    split: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


def raw_study(exam: Exam, heads: Mapping[str, HeadSpec], terms: Mapping[str, Terms], official: bool) -> RawStudy:
    """The targets of `heads` in an exam.

    Args:
        terms: {head: its classes' terms}; a head that is not listed takes its classes' own names.
        official: keep the data set's own split.
    """
    served = (spec for spec in heads.values() if exam.modality in spec.modalities)
    found = {spec.name: _labels(exam, spec, terms.get(spec.name, {})) for spec in served}
    return RawStudy(
        study=exam.study,
        patient=exam.patient,
        modality=exam.modality,
        image=exam.image,
        **by_head({head: labels for head, labels in found.items() if labels is not None}),
        extent_mm=exam.extent_mm,
        view=exam.view,
        laterality=exam.laterality,
        split=exam.split if official else "",
        attributes=exam.attributes,
        fault=exam.fault or _fault(exam, official),
    )


def _fault(exam: Exam, official: bool) -> str:
    if not exam.patient:
        return "no patient: it cannot be kept on one side of the split"
    # a fold instead might put it, or its patient, on the other side
    return "no official split: the data set does not list this image" if official and not exam.split else ""


def terms_of(spec: HeadSpec, terms: Mapping[str, Sequence[str]]) -> list[Sequence[str]]:
    """The terms of each class of a head; a class that is not mapped has its own name, if no other is mapped."""
    return [terms.get(name, () if terms else (name,)) for name in spec.classes]


def _labels(exam: Exam, spec: HeadSpec, terms: Terms) -> Labels | None:
    if terms is None:
        return None
    read = {"segmentation": _drawn, "detection": _boxed, "regression": _measured}.get(spec.kind, _valued)
    labels = read(exam, terms_of(spec, terms))
    return labels if labels.labelled.any() else None


def _drawn(exam: Exam, classes: Sequence[Sequence[str]]) -> Labels:
    """A class is labelled where every one of its terms was looked for."""
    labelled = np.array([bool(terms) and all(t in exam.masks for t in terms) for terms in classes])
    loaders = [[exam.masks[t] for t in terms] if known else [] for terms, known in zip(classes, labelled, strict=True)]
    return Labels(labelled, mask=partial(_union, loaders))


def _union(loaders: Sequence[Sequence[TermLoader]], shape: tuple[int, int]) -> Array:
    """[K,H,W] bool: of each class what any of its loaders draws."""
    planes = [[load(shape) for load in loads] for loads in loaders]
    return np.stack([np.any([np.zeros(shape, bool), *drawn], axis=0) for drawn in planes])


def _boxed(exam: Exam, classes: Sequence[Sequence[str]]) -> Labels:
    """A class is labelled where it was found, or where all boxes of all its terms are known."""
    found = [(k, box) for k, terms in enumerate(classes) for box in _of(exam.boxes, terms)]
    seen = {k for k, _ in found}
    labelled = [k in seen or (bool(terms) and exam.all_boxes.issuperset(terms)) for k, terms in enumerate(classes)]
    places = [place for _, place in found]
    xyxy = partial(_measure, places) if any(callable(p) for p in places) else _measure(places, (0, 0))
    return Labels(np.array(labelled), boxes=(xyxy, np.array([k for k, _ in found], np.int64)))


def _measure(places: Sequence[Box | TermLoader], shape: tuple[int, int]) -> Array:
    """[M,4] float32 xyxy: boxes as they are, and around what is drawn."""
    boxes = [surrounding(place(shape)) if callable(place) else place for place in places]
    return np.array(boxes, np.float32).reshape(-1, 4)


def surrounding(mask: Array) -> Box:
    """The box of a mask [H,W] bool.

    Raises:
        BadStudy: nothing is drawn.
    """
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not len(rows):
        raise BadStudy("empty mask of a finding: expected one that shows where it is")
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _of(boxes: Iterable[tuple[str, Box | TermLoader]], terms: Sequence[str]) -> list[Box | TermLoader]:
    """The boxes of any of the terms, each once however many terms it is listed under."""
    return list(dict.fromkeys(box for term, box in boxes if term in terms))


def _valued(exam: Exam, classes: Sequence[Sequence[str]]) -> Labels:
    """A class is positive where any of its terms is, and known to be negative where all of them are."""
    known = [[exam.values[t] for t in terms if t in exam.values] for terms in classes]
    values = np.array([max(v, default=0.0) for v in known], np.float32)
    complete = [bool(terms) and len(v) == len(terms) for v, terms in zip(known, classes, strict=True)]
    return Labels((values > 0) | np.array(complete), values=values)


def _measured(exam: Exam, classes: Sequence[Sequence[str]]) -> Labels:
    """A class is labelled where its one term was measured; 0 and negative numbers are measurements."""
    several = next((terms for terms in classes if len(terms) > 1), None)
    if several:
        raise UserError(f"a measurement is one term of a data set: expected one, got {', '.join(several)}")
    terms = [next(iter(terms), "") for terms in classes]
    values = np.array([exam.measurements.get(term, 0.0) for term in terms], np.float32)
    return Labels(np.array([term in exam.measurements for term in terms]), values=values)
