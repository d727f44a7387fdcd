"""What a site's prepared samples hold, in numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mtmed.types import SPLITS, Array, HeadSpec, Study


@dataclass(frozen=True)
class Summary:
    """Counts of a prepared site.

    Attributes:
        splits: {split: studies}.
        heads: {head: {class: {"labelled": n, "positive": n}}}, over all splits.
        quarantined: {kind of reason: studies}.
    """

    site: str
    studies: int
    patients: int
    splits: dict[str, int]
    modalities: dict[str, int]
    heads: dict[str, dict[str, dict[str, int]]]
    quarantined: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def summarise(
    site: str, studies: Sequence[Study], heads: Mapping[str, HeadSpec], quarantine: Sequence[tuple[str, str]]
) -> Summary:
    """Count the studies, their labels, and what was refused."""
    splits = Counter(study.split for study in studies)
    return Summary(
        site=site,
        studies=len(studies),
        patients=len({study.patient for study in studies}),
        splits={split: splits[split] for split in SPLITS},
        modalities=dict(sorted(Counter(study.modality for study in studies).items())),
        heads={name: _count(studies, spec) for name, spec in heads.items()},
        # "mask of another size: expected ..." counts as "mask of another size"
        quarantined=dict(sorted(Counter(reason.split(":")[0] for _, reason in quarantine).items())),
    )


def positives(study: Study, spec: HeadSpec) -> Array:
    """[K] bool: which classes of a head the study shows; False too where they are not labelled."""
    found = np.zeros(len(spec.classes), bool)
    if spec.name in study.masks:
        found |= study.masks[spec.name].any(axis=(1, 2))
    if spec.name in study.boxes:
        found[study.boxes[spec.name][1]] = True
    if spec.name in study.values:
        found |= study.values[spec.name] > 0
    return found & study.labelled.get(spec.name, np.zeros(len(spec.classes), bool))


def _count(studies: Sequence[Study], spec: HeadSpec) -> dict[str, dict[str, int]]:
    none = np.zeros(len(spec.classes), bool)
    labelled = sum((s.labelled.get(spec.name, none).astype(int) for s in studies), none.astype(int))
    positive = sum((positives(s, spec).astype(int) for s in studies), none.astype(int))
    return {name: {"labelled": int(labelled[k]), "positive": int(positive[k])} for k, name in enumerate(spec.classes)}
