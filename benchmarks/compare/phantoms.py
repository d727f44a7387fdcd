"""Synthetic hospitals for the comparison: those of params.yaml with other patients, as one pool; tests have all labels.

A seed stands for other patients at every hospital. `build/compare` keeps what was prepared.
"""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from benchmarks.compare.films import Fold, in_memory
from mtmed.config import Config, parse
from mtmed.data import store
from mtmed.data.identity import PUBLIC
from mtmed.data.prepare import Private, prepare
from mtmed.phantoms import write
from mtmed.types import Study

PARAMS = Path("params.yaml")
KEPT = Path("build/compare/phantoms")
TRAIN, TEST = 1000, 2000  # test patients are drawn from other seeds than training patients, whatever the seed
TEST_PATIENTS = 60  # of each of five hospitals
COMPLETE = {"masks": True, "boxes": True, "classes": True, "diameters": True, "broken": 0}


@dataclass(frozen=True)
class Scale:
    """Pixels of an image after preparation; None: as params.yaml says. Training patients of each of five hospitals."""

    pixels: int | None
    patients: int


SMALL, FULL = Scale(None, 66), Scale(192, 132)


def raw(scale: Scale = SMALL) -> dict[str, Any]:
    """params.yaml, whose synthetic hospitals are the demo's."""
    said: dict[str, Any] = yaml.safe_load(PARAMS.read_text())
    said["image"]["size"] = scale.pixels or said["image"]["size"]
    said["training"] |= {"batch_size": 16, "warmup_rounds": 0.05}
    return said


def phantoms(seed: int, scale: Scale = SMALL) -> Fold:
    """Training patients with the labels that their hospitals have, and test patients with all labels."""
    settings, patients = parse(raw(scale), "params.yaml"), scale.patients
    train = written(settings, f"train-{patients}", TRAIN * (seed + 1), {"patients": patients})
    test = written(settings, "test", TEST * (seed + 1) + 500, {"patients": TEST_PATIENTS, **COMPLETE})
    return Fold([*chain(*train.values())], [], [*chain(*test.values())])


def written(config: Config, name: str, first: int, changes: dict[str, object]) -> dict[str, list[Study]]:
    """All studies of each site, whatever their split; patients of the n-th site have the seed `first` + n."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with FileLock(KEPT / "lock"):  # several runs of one seed may start together
        return _made(config, name, first, changes)


def _made(config: Config, name: str, first: int, changes: dict[str, object]) -> dict[str, list[Study]]:
    studies: dict[str, list[Study]] = {}
    for number, (site, spec) in enumerate(config.phantom.items()):
        folder = KEPT / f"{name}-{first}-{config.image.size}"
        if not (folder / site / "index.json").is_file():
            changed = spec.model_copy(update={**changes, "seed": first + number})
            write(changed, folder / "raw" / site)
            private = Private(PUBLIC, folder / "private" / site)
            prepare(site, config, folder / "raw" / site, folder / site, private, processes=0, progress=_quiet)
        studies[site] = [*map(in_memory, store.read(folder / site))]
    return studies


def _quiet(_: str) -> None:
    pass
