"""What a site's prepared samples hold, in numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mtmed.types import SPLITS, Array, HeadSpec

MEASURED = "regression"  # the kind of head whose values are measurements


@dataclass(frozen=True)
class Summary:
    """Counts of a prepared site.

    Attributes:
        splits, modalities, views: {name: studies}.
        heads: {head: {class: {"labelled": n, "positive": n}}}, over all splits; of a measurement, instead of the
            positives, its `low`, `median` and `high`.
        quarantined, flagged: {kind: studies}.
    """

    site: str
    studies: int
    patients: int
    splits: dict[str, int]
    modalities: dict[str, int]
    views: dict[str, int]
    heads: dict[str, dict[str, dict[str, float]]]
    quarantined: dict[str, int]
    flagged: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass
class Tally:
    """Counts that grow study by study; memory grows with patients and measurements alone.

    Attributes:
        entries: studies as a shard's header describes them.
    """

    heads: Mapping[str, HeadSpec]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    patients: set[str] = field(default_factory=set)
    labels: dict[str, Array] = field(default_factory=dict)
    measured: dict[tuple[str, int], list[float]] = field(default_factory=dict)

    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Count studies."""
        for entry in entries:
            self.patients.add(entry["patient"])
            for fact in ("split", "modality", "view"):
                self.counts[fact, entry[fact] or "not stated"] += 1
            for spec in self.heads.values():
                self._add_labels(entry, spec)

    def _add_labels(self, entry: Mapping[str, Any], spec: HeadSpec) -> None:
        if spec.name not in entry["labelled"]:
            return
        labelled = np.array(entry["labelled"][spec.name], bool)
        sums = self.labels.setdefault(spec.name, np.zeros((2, len(spec.classes)), int))
        sums += np.stack([labelled, positives(entry, spec)])
        if spec.kind == MEASURED:
            for k in np.flatnonzero(labelled):
                self.measured.setdefault((spec.name, int(k)), []).append(entry["values"][spec.name][k])

    @property
    def studies(self) -> int:
        """Studies counted so far."""
        return sum(self._of("split").values())

    def summary(self, site: str, quarantined: Iterable[str], flagged: Iterable[str]) -> Summary:
        """The counts, with those of the reasons for quarantine and of the kinds of flags."""
        splits = self._of("split")
        return Summary(
            site=site,
            studies=self.studies,
            patients=len(self.patients),
            splits={split: splits.get(split, 0) for split in SPLITS},
            modalities=self._of("modality"),
            views=self._of("view"),
            heads={spec.name: self._head(spec) for spec in self.heads.values()},
            # "mask of another size: expected ..." counts as "mask of another size"
            quarantined=dict(sorted(Counter(reason.split(":")[0] for reason in quarantined).items())),
            flagged=dict(sorted(Counter(flagged).items())),
        )

    def _of(self, fact: str) -> dict[str, int]:
        return {name: n for (kind, name), n in sorted(self.counts.items()) if kind == fact}

    def _head(self, spec: HeadSpec) -> dict[str, dict[str, float]]:
        labelled, positive = self.labels.get(spec.name, np.zeros((2, len(spec.classes)), int)).tolist()
        if spec.kind != MEASURED:
            return {c: {"labelled": labelled[k], "positive": positive[k]} for k, c in enumerate(spec.classes)}
        return {c: {"labelled": labelled[k], **self._range(spec.name, k)} for k, c in enumerate(spec.classes)}

    def _range(self, head: str, index: int) -> dict[str, float]:
        values = self.measured.get((head, index))
        if not values:
            return {}
        return {"low": min(values), "median": float(np.median(values)), "high": max(values)}


def positives(entry: Mapping[str, Any], spec: HeadSpec) -> Array:
    """[K] bool: which classes of a head a study shows; False too where they are not labelled."""
    found = np.zeros(len(spec.classes), bool)
    if spec.name in entry["drawn"]:
        found |= np.array(entry["drawn"][spec.name]["classes"], bool)
    if spec.name in entry["boxes"]:
        found[entry["boxes"][spec.name]["classes"]] = True
    if spec.name in entry["values"]:
        found |= np.array(entry["values"][spec.name]) > 0
    return found & np.array(entry["labelled"].get(spec.name, found & False), bool)
