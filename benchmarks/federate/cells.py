"""Where strategies meet: the sites, what they have labelled, and how long they train.

`fed` is the base cell; every other of synthetic hospitals changes one thing. `fed-films` is of real films. A cell's
name may end in `-tuning`: the seeds on which options are chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from benchmarks.compare.cells import SEEDS
from benchmarks.federate import hospitals, sources
from benchmarks.federate.attacks import ATTACKER, Train, flipped, scaled
from benchmarks.federate.hospitals import Sites
from mtmed.config import Config, change, parse
from mtmed.errors import unknown
from mtmed.types import Study
from tasks.train_site import train_site

TUNING = "-tuning"
REPORTED = [str(s) for s in range(20, 30)]  # 0 to 9 were seen when `bayes` still merged in its last rounds
TUNING_SEEDS = ["100", "101", "102"]
FULL_SEEDS = ["30", "31", "32"]
FORGED = 10.0


@dataclass(frozen=True)
class Cell:
    """One federation.

    Attributes:
        films: whether its sites are the sources of real films, and not synthetic hospitals.
        patients: training patients of each hospital.
        pixels: of an image after preparation; None: as params.yaml says.
        copies: sites of each hospital.
        complete: whether all hospitals have all labels.
        epochs: local passes in a round.
        steps: of training in a round instead, the same at every site: where one has few films and another many.
        apart: whether each site brings a network of its own initialisation.
        shown: rounds after which the global model is measured, beside the last.
        fifth: a fifth site, like the first: honest, flipped (its labels are wrong), or forged (it says that it went
            `FORGED` times as far as it did). It has no test patients.
    """

    name: str
    films: bool = False
    patients: int = 12
    pixels: int | None = None
    copies: int = 1
    complete: bool = False
    rounds: int = 5
    epochs: int = 20
    steps: int | None = None
    apart: bool = False
    shown: tuple[int, ...] = ()
    fifth: str = ""

    @property
    def seeds(self) -> list[str]:
        """On which it is reported, or chosen."""
        tuning = self.name.endswith(TUNING)
        if self.films:
            return SEEDS[f"real{TUNING if tuning else ''}"]
        if tuning:
            return TUNING_SEEDS
        return FULL_SEEDS if self.pixels else REPORTED

    def config(self, changes: Mapping[str, Any], seed: str) -> Config:
        """The configuration of a run, with changes by dotted key."""
        raw = sources.raw() if self.films else hospitals.raw(self.patients, self.copies, bool(self.fifth))
        raw["federation"] |= {"seed": int(seed.replace(".", "")), "rounds": self.rounds}
        raw["training"] |= {"epochs": self.epochs, "steps": self.steps, "batch_size": 8, "warmup_rounds": 0.25}
        raw["image"]["size"] = self.pixels or raw["image"]["size"]
        for key, value in changes.items():
            change(raw, key, value)
        return parse(raw, f"the configuration of {self.name}")

    def sites(self, config: Config, seed: str, folder: Path | None) -> tuple[Sites, Sites]:
        """Training studies, with the labels that their sites have, and test studies.

        Args:
            folder: of the manifests of real films.
        """
        if self.films:
            train, test = sources.sites(seed, folder)
        else:
            train, test = hospitals.sites(config, self._kept, int(seed), self.patients, self.complete)
        train = {site: [as_training(study) for study in studies] for site, studies in train.items()}
        if self.fifth == "flipped":
            train[ATTACKER] = flipped(train[ATTACKER])
        test.pop(ATTACKER, None)
        return train, test

    @property
    def train_site(self) -> Train:
        """How its sites train."""
        return scaled(FORGED) if self.fifth == "forged" else train_site

    @property
    def _kept(self) -> str:
        known = "all" if self.complete else "some"
        return f"{self.copies}-{known}-{self.patients}" + ("-fifth" if self.fifth else "")


def as_training(study: Study) -> Study:
    """A study that is trained on, whatever the preparation drew: test patients are others."""
    return Study(**{field.name: getattr(study, field.name) for field in fields(Study)} | {"split": "train"})


BASE = Cell("fed")
CELLS = {
    cell.name: cell
    for cell in (
        BASE,
        replace(BASE, name="fed-labels", complete=True),
        replace(BASE, name="fed-epochs-1", epochs=1),
        replace(BASE, name="fed-epochs-4", epochs=4),
        replace(BASE, name="fed-rounds-20", rounds=20, epochs=5, shown=(1, 3, 5, 10)),  # the same training, cut finer
        replace(BASE, name="fed-sites-16", copies=4),
        *(replace(BASE, name=f"fed-fifth-{kind}", fifth=kind) for kind in ("honest", "flipped", "forged")),
        replace(BASE, name="fed-apart", apart=True, rounds=6, shown=(1, 2, 4)),
        replace(BASE, name="fed-full", patients=24, pixels=192),
        Cell("fed-films", films=True, steps=32),
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
