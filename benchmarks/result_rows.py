"""The raw results that every figure of a comparison is made from: benchmarks/results/<experiment>.csv, committed.

One row per run, head and metric, with the columns `experiment,arm,seed,head,metric,value`. A run is an arm and a seed;
runs with the same seed are paired: same patients, same split. Seeds are text: `3`, or `<split seed>.<fold>` for
cross-validation. Head `-` has the facts of a run (parameters, flops, images_per_s, seconds, memory_mb, steps).

    rows = run("multitask", 3, {"pneumonia": {"auroc": .91}, FACTS: {"seconds": 120}})
    append("phantom", rows)
    has("phantom", "multitask", 3)      # True: an interrupted comparison goes on where it was
"""

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mtmed.errors import UserError

FOLDER = Path(__file__).parent / "results"
FACTS = "-"
COLUMNS = ["experiment", "arm", "seed", "head", "metric", "value"]
KEY = ["arm", "seed", "head", "metric"]
NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


class Row(NamedTuple):
    """One value of one run."""

    arm: str
    seed: str | int
    head: str
    metric: str
    value: float


def run(arm: str, seed: str | int, metrics: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """The rows of a run from its metrics by head; what is undefined (NaN, infinite) is left out."""
    values = ((head, metric, float(value)) for head, found in metrics.items() for metric, value in found.items())
    return [Row(arm, seed, head, metric, value) for head, metric, value in values if math.isfinite(value)]


def names(folder: Path = FOLDER) -> list[str]:
    """The experiments that have rows."""
    return sorted(path.stem for path in folder.glob("*.csv"))


def read(name: str, folder: Path = FOLDER) -> pd.DataFrame:
    """All rows of an experiment, seeds as text, in the order in which they were written; empty if there are none.

    Raises:
        UserError: a file with other columns, a value that is no number, or two rows for one value.
    """
    path = _path(name, folder)
    if not path.is_file():
        return _parsed("", path.name)
    with path.open() as file:
        flock(file, LOCK_SH)  # no line is read while it is written
        return _parsed(file.read(), path.name)


def has(name: str, arm: str, seed: str | int, folder: Path = FOLDER) -> bool:
    """Whether the run has been written; a run is written whole or not at all."""
    rows = read(name, folder)
    return bool(((rows["arm"] == arm) & (rows["seed"] == str(seed))).any())


def append(name: str, rows: Iterable[Row], folder: Path = FOLDER) -> None:
    """Write rows of an experiment, all in one write under a lock, so that several processes can share the file.

    Raises:
        UserError: a value that is not finite, or that is there already.
    """
    path, rows = _path(name, folder), list(rows)
    wrong = next((row for row in rows if not math.isfinite(row.value)), None)
    if wrong:
        raise UserError(f"{name}: {wrong} is not a finite number; leave out what is undefined, as `run` does")
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(path) as file:
        before = path.read_text()
        new = _text(name, rows, header=not before)
        _parsed(before + new, path.name)  # none twice
        os.write(file, new.encode())


def _path(name: str, folder: Path) -> Path:
    if not NAME.fullmatch(name):
        raise UserError(f"experiment {name!r}: expected small letters, digits, dots, hyphens: phantom-masks-10")
    return folder / f"{name}.csv"


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        flock(file, LOCK_EX)
        yield file
    finally:
        os.close(file)


def _text(name: str, rows: list[Row], header: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS] if header else [])
    writer.writerows([name, *row[:-1], f"{row.value:.10g}"] for row in rows)
    return text.getvalue()


def _parsed(text: str, file: str) -> pd.DataFrame:
    if text and not text.endswith("\n"):
        raise UserError(f"{file}: its last line is not whole; remove it, and the other rows of its run")
    rows = pd.read_csv(io.StringIO(text or ",".join(COLUMNS)), dtype=str, keep_default_na=False)
    if list(rows.columns) != COLUMNS:
        raise UserError(f"{file}: columns {','.join(rows.columns)}; expected {','.join(COLUMNS)}")
    value = pd.to_numeric(rows["value"], errors="coerce").astype(float)
    for wrong, fault in ((~np.isfinite(value), "has no finite number"), (rows.duplicated(KEY), "is there twice")):
        if wrong.any():
            raise UserError(f"{file}: {' '.join(rows[wrong].iloc[0][KEY])} {fault}; remove the row")
    return rows.assign(value=value)
