"""Where the arms meet: a data set, its seeds, an image size and a time of training.

A cell's name says it all: `phantom`, `full` (phantoms about as large as their scanners make them, and twice as many) or
`real`, then `-masks-25` where only a quarter of the training patients keep their masks, then `-tuning` for the seeds on
which settings are chosen.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.compare import films, phantoms
from benchmarks.compare.films import Fold
from mtmed.config import Config, change, parse
from mtmed.errors import UserError
from mtmed.types import HeadSpec, Study

NAME = re.compile(r"(?P<data>phantom|full|real)(-masks-(?P<masks>\d+))?(-(?P<use>tuning))?")
SECONDS = {"phantom": 100.0, "full": 1000.0, "real": 200.0}  # on one core; two cores do the last in two minutes
TUNED = {"phantom": "phantom", "full": "phantom", "real": "real"}  # whose tuning chooses the settings
SEEDS = {
    "phantom": [str(s) for s in range(10)],
    "real": [f"{split}.{fold}" for split in (0, 1) for fold in range(films.FOLDS)],
    "full": ["10", "11", "12"],
    "phantom-tuning": ["100", "101"],
    "real-tuning": ["7.0", "7.3"],
}


@dataclass(frozen=True)
class Cell:
    """A cell by its name.

    Attributes:
        data: phantom, full or real.
        masks: per cent of the training patients whose masks are kept.
    """

    name: str
    data: str
    masks: int
    tuning: bool

    @property
    def seconds(self) -> float:
        """The time of training that an arm has, on one core."""
        return SECONDS[self.data]

    @property
    def seeds(self) -> list[str]:
        """On which it is reported."""
        return SEEDS[f"{self.data}-tuning" if self.tuning else self.data]

    def config(self, changes: Mapping[str, Any]) -> Config:
        """The configuration with changes by dotted key."""
        raw: dict[str, Any] = films.raw() if self.data == "real" else phantoms.raw(self._phantoms)
        for key, value in changes.items():
            change(raw, key, value)
        return parse(raw, f"the configuration of {self.name}")

    def changed(self, models: list[tuple[HeadSpec, ...]]) -> list[tuple[HeadSpec, ...]]:
        """The models that fewer masks change: one for a head without masks is the same in the full cell."""
        return [m for m in models if self.masks == 100 or any(h.kind == "segmentation" for h in m)]

    def fold(self, seed: str, folder: Path | None) -> Fold:
        """The studies of a seed; validation patients train, as nothing is chosen by them here."""
        if self.data == "real":
            if folder is None:
                raise UserError("the films are not part of the project: name their folder with --data")
            split, number = seed.split(".")
            drawn = films.fold(films.films(folder), int(split), int(number))
        else:
            drawn = phantoms.phantoms(int(seed), self._phantoms)
        return replace(drawn, train=self._thinned([*drawn.train, *drawn.validation], seed), validation=[])

    @property
    def tuning_experiment(self) -> str:
        """Where its settings were chosen."""
        return f"{TUNED[self.data]}-tuning"

    @property
    def _phantoms(self) -> phantoms.Scale:
        return phantoms.FULL if self.data == "full" else phantoms.SMALL

    def _thinned(self, studies: list[Study], seed: str) -> list[Study]:
        """Masks of some patients only; what else is known of the others stays."""
        if self.masks == 100:
            return studies
        return [s if _share(f"{seed}/{s.patient}") < self.masks / 100 else _without_masks(s) for s in studies]


def find(name: str) -> Cell:
    """The cell of that name.

    Raises:
        UserError: no cell has such a name.
    """
    match = NAME.fullmatch(name)
    if not match:
        raise UserError(f"cell {name!r}: expected phantom, full or real, then -masks-<per cent>, then -tuning")
    return Cell(name, match["data"], int(match["masks"] or 100), bool(match["use"]))


def _share(key: str) -> float:
    return int.from_bytes(sha256(key.encode()).digest()[:8], "big") / 2**64


def _without_masks(study: Study) -> Study:
    labelled = {head: known for head, known in study.labelled.items() if head not in study.masks}
    return replace(study, masks={}, labelled=labelled)
