"""Patients into folds by a keyed hash: no table to keep, and a patient has the same fold at every site."""

from hashlib import sha256

from mtmed.config import SplitSpec


def fold_of(patient: str, folds: int, seed: int) -> int:
    """The fold 0..folds-1 of a patient; it depends on nothing else."""
    return _number(f"fold:{seed}:{patient}") % folds


def split_of(patient: str, spec: SplitSpec) -> str:
    """train, validation or test: the chosen fold is for test, a second hash draws validation."""
    if fold_of(patient, spec.folds, spec.seed) == spec.fold:
        return "test"
    share = _number(f"validation:{spec.seed}:{patient}") / 2**64
    return "validation" if share < spec.validation else "train"


def _number(key: str) -> int:
    return int.from_bytes(sha256(key.encode()).digest()[:8], "big")
