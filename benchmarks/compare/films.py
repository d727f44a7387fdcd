"""The real chest films as one pool, and their patient-disjoint folds.

The films are not part of the project: `--data` names the folder that experiments/real/params.yaml describes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from mtmed.config import parse
from mtmed.data import store
from mtmed.data.identity import PUBLIC
from mtmed.data.prepare import Private, prepare
from mtmed.data.split import split_of
from mtmed.specs import SplitSpec
from mtmed.types import SPLITS, Study

PARAMS = Path("experiments/real/params.yaml")
KEPT = Path("build/compare/films")  # prepared once; a fold is drawn from the pseudonyms
FOLDS, VALIDATION = 5, 0.1
WEIGHTS = {"classification": 0.3}  # in the hybrid loss, as in params.yaml


@dataclass(frozen=True)
class Fold:
    """Studies by use; a patient is in one of them, over all sources together."""

    train: list[Study]
    validation: list[Study]
    test: list[Study]


def raw() -> dict[str, Any]:
    """params.yaml of experiments/real with the default model, and without the mammograms.

    Pneumonia is labelled at NIH only: elsewhere nearly all films are of one class, and the source would give it away.
    """
    raw = yaml.safe_load(PARAMS.read_text())
    raw["model"] = yaml.safe_load(Path("params.yaml").read_text())["model"]
    del raw["sites"]["mias"]
    for name, site in raw["sites"].items():
        if name != "nih":
            site["options"].setdefault("heads", {})["pneumonia"] = None
    films = {n: h for n, h in raw["heads"].items() if h["modalities"] == ["chest_xray"]}
    raw["heads"] = {n: {**h, "weight": WEIGHTS.get(h["kind"], 1.0)} for n, h in films.items()}
    raw["training"] |= {"batch_size": 16, "warmup_rounds": 0.05}
    return raw


def fold(found: Sequence[Study], seed: int, number: int) -> Fold:
    """Fold `number` of the split `seed`: every patient is tested once per seed."""
    spec = SplitSpec(folds=FOLDS, fold=number, validation=VALIDATION, seed=seed)
    return Fold(*([s for s in found if split_of(s.patient, spec) == split] for split in SPLITS))


def films(data: Path) -> list[Study]:
    """All chest films as one pool."""
    return [study for found in by_source(data).values() for study in found]


def by_source(data: Path) -> dict[str, list[Study]]:
    """All chest films, prepared at 128 pixels; with one key, so that a patient of two sources has one pseudonym."""
    settings = parse(raw(), str(PARAMS))
    KEPT.mkdir(parents=True, exist_ok=True)
    with FileLock(KEPT / "lock"):  # runs side by side: the first one prepares
        for site in settings.sites:
            if not (KEPT / site / "index.json").is_file():
                prepare(site, settings, data, KEPT / site, Private(PUBLIC, KEPT / "private" / site), processes=0)
    return {site: [*map(in_memory, store.read(KEPT / site))] for site in sorted(settings.sites)}


def in_memory(study: Study) -> Study:
    """All that a shard would be asked for again in every epoch."""
    return Study(**{field.name: getattr(study, field.name) for field in fields(Study)})
