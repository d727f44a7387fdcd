"""Patients into folds by a keyed hash: no table to keep, and a patient has the same fold at every site."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256

from mtmed.data.raw import RawStudy
from mtmed.specs import SplitSpec
from mtmed.types import SPLITS


def fold_of(patient: str, folds: int, seed: int) -> int:
    """The fold 0..folds-1 of a patient; it depends on nothing else."""
    return _number(f"fold:{seed}:{patient}") % folds


def split_of(patient: str, spec: SplitSpec, official: str = "") -> str:
    """train, validation or test: the chosen fold is for test, a second hash draws validation.

    Args:
        official: the data set's own split, if that is wanted; it takes the fold's place, and what is for training there
            gives its share to validation here.
    """
    if official in ("test", "validation"):
        return official
    if not official and fold_of(patient, spec.folds, spec.seed) == spec.fold:
        return "test"
    share = _number(f"validation:{spec.seed}:{patient}") / 2**64
    return "validation" if share < spec.validation else "train"


def on_one_side(found: Callable[[], Iterator[RawStudy]]) -> Iterator[RawStudy]:
    """The studies that `found()` gives, each time it is called; who is in two official splits stays in one of them.

    That is test before validation before train: the patient's other studies get a fault, and go to quarantine.
    """
    side: dict[str, str] = {}
    for study in found():
        if study.split:
            side[study.patient] = max(study.split, side.get(study.patient, study.split), key=SPLITS.index)
    for study in found():
        kept = side.get(study.patient, study.split)
        if study.split != kept:
            fault = f"patient in two splits: this study is for {study.split}, others of the patient are for {kept}"
            study = replace(study, fault=study.fault or fault)
        yield study


def _number(key: str) -> int:
    return int.from_bytes(sha256(key.encode()).digest()[:8], "big")
