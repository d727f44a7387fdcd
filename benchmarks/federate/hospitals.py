"""Synthetic hospitals as sites: those of params.yaml, some of them several times, with what each has labelled."""

from collections.abc import Mapping
from typing import Any

import yaml

from benchmarks.compare import phantoms
from benchmarks.federate.attacks import ATTACKER
from mtmed.config import Config
from mtmed.types import Study

HOSPITALS = ("alder", "birch", "cedar", "dogwood")  # two modalities, four scanners, some labels
HEADS = ("lesion_segmentation", "lesion_detection", "malignancy", "pneumonia")
TRAIN, TEST = 3000, 5000  # of the patients' seeds, each with an OFFSET of its own, so that no run shares its patients
TRAIN_OFFSET, TEST_OFFSET = 50, 100  # benchmarks/compare has 0 and 500
TEST_PATIENTS = 60

Sites = dict[str, list[Study]]


def raw(patients: int, copies: int, fifth: bool) -> dict[str, Any]:
    """params.yaml with these sites and their heads.

    Args:
        patients: training patients of each site.
        copies: sites of each hospital; copies differ in their patients, their grain and their blur.
        fifth: whether there is one more like the first, with another scanner.
    """
    said: dict[str, Any] = yaml.safe_load(phantoms.PARAMS.read_text())
    found = {name: {**said["phantom"][name], "patients": patients, "broken": 0} for name in HOSPITALS}
    if fifth:
        found[ATTACKER] = _other(found[HOSPITALS[0]], 1)
    if copies > 1:
        found = {f"{n}-{c}": _other(found[n], c) for n in HOSPITALS for c in range(copies)}
    said["phantom"] = found
    said["sites"] = {site: {"dataset": "manifest", "raw": "in memory"} for site in found}
    said["heads"] = {name: said["heads"][name] for name in HEADS}
    return said


def sites(config: Config, name: str, seed: int, patients: int, complete: bool) -> tuple[Sites, Sites]:
    """Training studies, with the labels that their sites have or with all, and test studies, with all.

    Args:
        name: of what is kept between runs.
    """
    labels: dict[str, Any] = phantoms.COMPLETE if complete else {}
    changes, first = {"patients": patients, **labels}, TRAIN * (seed + 1) + TRAIN_OFFSET
    train = phantoms.written(config, f"fed-train-{name}", first, changes)
    changes, first = {"patients": TEST_PATIENTS, **phantoms.COMPLETE}, TEST * (seed + 1) + TEST_OFFSET
    return train, phantoms.written(config, f"fed-test-{name}", first, changes)


def _other(hospital: Mapping[str, Any], copy: int) -> dict[str, Any]:
    """A hospital like this one, with another scanner."""
    grain, blur = hospital["noise"] * (1 + 0.25 * copy), hospital.get("blur", 0.6) * (1 + 0.2 * copy)
    return {**hospital, "noise": grain, "blur": blur}
