"""Where strategies meet: the sites, what they have labelled, and how long they train.

`fed` is the base cell; every other changes one thing. A cell's name may end in `-tuning`: the seeds on which options
are chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import yaml

from benchmarks.compare import phantoms
from benchmarks.federate.attacks import ATTACKER, Train, flipped, scaled
from mtmed.config import Config, parse
from mtmed.errors import unknown
from mtmed.types import Study
from tasks.train_site import train_site

TUNING = "-tuning"
SEEDS, TUNING_SEEDS = [str(s) for s in range(10)], ["100", "101", "102"]
HOSPITALS = ("alder", "birch", "cedar", "dogwood")  # of params.yaml: two modalities, four scanners, some labels
HEADS = ("lesion_segmentation", "lesion_detection", "malignancy", "pneumonia")
TRAIN, TEST = 3000, 5000  # of the patients' seeds, each with an OFFSET of its own, so that no run shares its patients
TRAIN_OFFSET, TEST_OFFSET = 50, 100  # benchmarks/compare has 0 and 500
TEST_PATIENTS = 60
FORGED = 10.0

Sites = dict[str, list[Study]]


@dataclass(frozen=True)
class Cell:
    """One federation.

    Attributes:
        patients: training patients of each site.
        copies: sites of each hospital; copies differ in their patients, their grain and their blur.
        complete: whether all sites have all labels.
        epochs: local passes in a round.
        shown: rounds after which the global model is measured, beside the last.
        fifth: a fifth site, like the first: honest, flipped (its labels are wrong), or forged (it says that it went
            `FORGED` times as far as it did). It has no test patients.
    """

    name: str
    patients: int = 12
    copies: int = 1
    complete: bool = False
    rounds: int = 5
    epochs: int = 20
    shown: tuple[int, ...] = ()
    fifth: str = ""

    @property
    def seeds(self) -> list[str]:
        """On which it is reported, or chosen."""
        return TUNING_SEEDS if self.name.endswith(TUNING) else SEEDS

    def config(self, changes: Mapping[str, Any], seed: str) -> Config:
        """The configuration of a run, with changes by dotted key."""
        raw = yaml.safe_load(phantoms.PARAMS.read_text())
        raw["phantom"] = self._hospitals(raw["phantom"])
        raw["sites"] = {site: {"dataset": "manifest", "raw": "in memory"} for site in raw["phantom"]}
        raw["heads"] = {name: raw["heads"][name] for name in HEADS}
        raw["federation"] |= {"seed": int(seed), "rounds": self.rounds}
        raw["training"] |= {"epochs": self.epochs, "batch_size": 8, "warmup_rounds": 0.25}
        for key, value in changes.items():
            _set(raw, key.split("."), value)
        return parse(raw, f"the configuration of {self.name}")

    def sites(self, config: Config, seed: str) -> tuple[Sites, Sites]:
        """Training studies, with the labels that their sites have, and test studies, with all."""
        labels: dict[str, Any] = phantoms.COMPLETE if self.complete else {}
        number = int(seed) + 1
        train = phantoms.written(
            config, self._folder("train"), TRAIN * number + TRAIN_OFFSET, {"patients": self.patients, **labels}
        )
        test = phantoms.written(
            config, self._folder("test"), TEST * number + TEST_OFFSET, {"patients": TEST_PATIENTS, **phantoms.COMPLETE}
        )
        train = {site: [as_training(study) for study in studies] for site, studies in train.items()}
        if self.fifth == "flipped":
            train[ATTACKER] = flipped(train[ATTACKER])
        test.pop(ATTACKER, None)
        return train, test

    @property
    def train_site(self) -> Train:
        """How its sites train."""
        return scaled(FORGED) if self.fifth == "forged" else train_site

    def _folder(self, use: str) -> str:
        known = "all" if self.complete else "some"
        return f"fed-{use}-{self.copies}-{known}-{self.patients}" + ("-fifth" if self.fifth else "")

    def _hospitals(self, known: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: {**known[name], "patients": self.patients, "broken": 0} for name in HOSPITALS}
        if self.fifth:
            found[ATTACKER] = _other(found[HOSPITALS[0]], 1)
        if self.copies == 1:
            return found
        return {f"{n}-{c}": _other(found[n], c) for n in HOSPITALS for c in range(self.copies)}


def as_training(study: Study) -> Study:
    """A study that is trained on, whatever the preparation drew: test patients are others."""
    return Study(**{field.name: getattr(study, field.name) for field in fields(Study)} | {"split": "train"})


def _other(hospital: Mapping[str, Any], copy: int) -> dict[str, Any]:
    """A hospital like this one, with another scanner."""
    grain, blur = hospital["noise"] * (1 + 0.25 * copy), hospital.get("blur", 0.6) * (1 + 0.2 * copy)
    return {**hospital, "noise": grain, "blur": blur}


BASE = Cell("fed")
CELLS = {
    cell.name: cell
    for cell in (
        BASE,
        replace(BASE, name="fed-labels", complete=True),
        replace(BASE, name="fed-epochs-1", epochs=1),
        replace(BASE, name="fed-epochs-4", epochs=4),
        replace(BASE, name="fed-rounds-20", rounds=20, shown=(1, 3, 5, 10)),
        replace(BASE, name="fed-sites-16", copies=4),
        *(replace(BASE, name=f"fed-fifth-{kind}", fifth=kind) for kind in ("honest", "flipped", "forged")),
    )
}


def find(name: str) -> Cell:
    """The cell of that name.

    Raises:
        UserError: there is none.
    """
    base = name.removesuffix(TUNING)
    if base not in CELLS:
        raise unknown("cell", base, CELLS)
    return replace(CELLS[base], name=name)


def _set(raw: dict[str, Any], keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        raw = raw.setdefault(key, {})
    raw[keys[-1]] = yaml.safe_load(value)
