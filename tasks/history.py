"""The record of all rounds as tables that people, `dvc plots` and the report read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.stopwatch import covered

_LOCAL, _OWN, _TRAVEL = ("train", "fisher", "validate"), ("state",), ("exchange",)


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

    A second in which sites do different things counts for the first of them in this order.

    `tracking` is what the federation waits for after its last round; the rounds before are tracked beside the next
    one. `orchestration` is what no clock claims: Prefect, waiting and the start of the sites' processes.
    """
    spans = [[span for a in r["sites"] for span in a["spans"]] for r in records]
    local, own, all_sites = (
        sum(covered([(b, e) for stage, b, e in round if stage in stages]) for round in spans)
        for stages in (_LOCAL, (*_LOCAL, *_OWN), (*_LOCAL, *_OWN, *_TRAVEL))
    )
    aggregation = sum(r["aggregate"]["seconds"] for r in records)
    return {
        "local work": local,
        "site's own files": own - local,
        "exchange": all_sites - own,
        "aggregation": aggregation,
        "tracking": tail,
        "orchestration": max(0.0, sum(r["wall"] for r in records) - all_sites - aggregation),
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
