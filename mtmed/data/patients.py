"""The patients of a data set, as far as sites are made of them: images, labels, and the value of a column."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mtmed.data.raw import RawStudy
from mtmed.data.summary import MEASURED
from mtmed.errors import UserError, unknown
from mtmed.types import HeadSpec


@dataclass(frozen=True)
class Count:
    """Images in which something is labelled, and positive; `positive` is None where that is not a yes or no."""

    labelled: int = 0
    positive: int | None = None

    def __add__(self, other: "Count") -> "Count":
        known = [p for p in (self.positive, other.positive) if p is not None]
        return Count(self.labelled + other.labelled, sum(known) if known else None)


@dataclass(frozen=True)
class Patient:
    """One patient.

    Attributes:
        value: of the column that was asked for; the most frequent of the patient's images.
        labels: {head, or head.class where it has several: count}.
    """

    name: str
    images: int = 0
    value: str = ""
    labels: Mapping[str, Count] = field(default_factory=dict)

    @property
    def combination(self) -> tuple[str, ...]:
        """What is labelled of the patient, and whether any image has it: `pneumonia+`, `pneumonia-`, `lung?`."""
        sign = {key: "?" if c.positive is None else "+" if c.positive else "-" for key, c in self.labels.items()}
        return tuple(sorted(f"{key}{sign[key]}" for key in sign))


@dataclass
class _Tally:
    images: int = 0
    values: Counter[str] = field(default_factory=Counter)
    labels: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))


def gather(studies: Iterable[RawStudy], heads: Mapping[str, HeadSpec], column: str | None = None) -> list[Patient]:
    """The patients by name, whatever the order of the studies.

    A study that cannot be used counts for nothing, but its patient is there: it belongs to some site's quarantine. One
    without a patient is left out.

    Args:
        column: of `RawStudy.attributes`, for `Patient.value`.

    Raises:
        UserError: no study has that column, or there is no patient.
    """
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    columns: set[str] = set()
    for study in (s for s in studies if s.patient):
        columns.update(study.attributes)
        _add(tallies[study.patient], study, heads, column)
    if not tallies:
        raise UserError("the data set has no study of a patient")
    if column is not None and column not in columns:
        raise unknown("column", column, columns or {"(this data set has none)"})
    return [_patient(name, tallies[name]) for name in sorted(tallies)]


def total(patients: Iterable[Patient]) -> Patient:
    """All of them as one: the sums of images and labels."""
    sums: dict[str, Count] = defaultdict(Count)
    images = 0
    for patient in patients:
        images += patient.images
        for key, count in patient.labels.items():
            sums[key] += count
    return Patient("", images, labels=dict(sums))


def _add(tally: _Tally, study: RawStudy, heads: Mapping[str, HeadSpec], column: str | None) -> None:
    if column is not None:
        tally.values[study.attributes.get(column, "")] += 1
    if not study.fault:
        tally.images += 1
        for key, count in _labels(study, heads):
            tally.labels[key] += count


def _labels(study: RawStudy, heads: Mapping[str, HeadSpec]) -> Iterator[tuple[str, Count]]:
    """What one study says. Masks are not opened for it, and a measurement is neither positive nor negative."""
    for head, labelled in study.labelled.items():
        spec = heads[head]
        for k, name in enumerate(spec.classes):
            key = head if len(spec.classes) == 1 else f"{head}.{name}"
            if labelled[k]:
                yield key, Count(1, _positive(study, spec, k))


def _positive(study: RawStudy, spec: HeadSpec, k: int) -> int | None:
    if spec.name in study.boxes:
        return int((study.boxes[spec.name][1] == k).any())
    if spec.name in study.values and spec.kind != MEASURED:
        return int(study.values[spec.name][k] > 0)
    return None


def _patient(name: str, tally: _Tally) -> Patient:
    value = min(tally.values, key=lambda v: (-tally.values[v], v), default="")
    return Patient(name, tally.images, value, dict(tally.labels))
