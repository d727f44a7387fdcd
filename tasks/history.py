"""The record of all rounds as tables that people, `dvc plots` and the report read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.stopwatch import covered

_LOCAL = ("train", "fisher", "validate")


def write(folder: Path, records: Sequence[dict[str, Any]], tail: float) -> None:
    """rounds.csv, contributions.csv, bytes.csv and seconds.csv; `tail` is the wall seconds after the last round."""
    answers = [(r["round"], a) for r in records for a in r["sites"]]
    rounds = [(n, a["site"], name, value) for n, a in answers for name, value in a["metrics"].items()]
    _table(folder / "rounds.csv", rounds, ["round", "site", "name", "value"])
    _table(folder / "contributions.csv", _contributions(records), ["round", "site", "head", "labelled", "share"])
    traffic = [(n, a["site"], a["sent"], a["received"]) for n, a in answers]
    _table(folder / "bytes.csv", traffic, ["round", "site", "sent", "received"])
    _table(folder / "seconds.csv", list(seconds(records, tail).items()), ["stage", "seconds"])


def seconds(records: Sequence[dict[str, Any]], tail: float) -> dict[str, float]:
    """Wall seconds by stage: `local work` while at least one site computes, then all else by its own clock.

    `tracking` is what the federation waits for after its last round; the rounds before are tracked beside the next
    one. `orchestration` is what no clock claims: Prefect, waiting and the start of the sites' processes.
    """
    local = sum(covered([(b, e) for a in r["sites"] for s, b, e in a["spans"] if s in _LOCAL]) for r in records)
    either = sum(covered([(b, e) for a in r["sites"] for _, b, e in a["spans"]]) for r in records)
    aggregation = sum(r["aggregate"]["seconds"] for r in records)
    wall = sum(r["wall"] for r in records)
    return {
        "local work": local,
        "exchange": either - local,
        "aggregation": aggregation,
        "tracking": tail,
        "orchestration": max(0.0, wall - either - aggregation),
    }


def _contributions(records: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    labelled = {(r["round"], a["site"]): a["labelled"] for r in records for a in r["sites"]}
    return [
        (r["round"], site, head, labelled[r["round"], site].get(head, 0), share)
        for r in records
        for head, shares in r["aggregate"]["contributions"].items()
        if head != "encoder"
        for site, share in shares.items()
    ]


def _table(path: Path, rows: Sequence[tuple[Any, ...]], columns: list[str]) -> None:
    pd.DataFrame(list(rows), columns=columns).to_csv(path, index=False)
