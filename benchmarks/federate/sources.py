"""Real films as a natural federation: a site is a source, with the labels that its source has."""

from pathlib import Path
from typing import Any

import yaml

from benchmarks.compare import films
from benchmarks.federate.hospitals import Sites
from mtmed.errors import UserError


def raw() -> dict[str, Any]:
    """The configuration of the comparison on films, with the strategies of params.yaml."""
    return films.raw() | {"strategies": yaml.safe_load(Path("params.yaml").read_text())["strategies"]}


def sites(seed: str, folder: Path | None) -> tuple[Sites, Sites]:
    """Training and test studies of each source in the fold `<split>.<fold>`; no patient is in both, at any source.

    Raises:
        UserError: nothing says where the films are.
    """
    if folder is None:
        raise UserError("the films are not part of the project: name their folder with --data")
    split, number = seed.split(".")
    folds = {site: films.fold(found, int(split), int(number)) for site, found in films.by_source(folder).items()}
    return (
        {site: [*fold.train, *fold.validation] for site, fold in folds.items()},
        {site: fold.test for site, fold in folds.items()},
    )
