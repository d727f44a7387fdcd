"""The record of all rounds as tables that people, `dvc plots` and the report read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.stopwatch import Span, covered

_STAGES = {  # the rows of seconds.csv by the spans that belong to them
    "local work": ("train", "fisher", "validate"),
    "site set-up": ("state",),
    "exchange": ("exchange",),
    "aggregation": ("aggregation",),
    "tracking": ("tracking",),
}


def write(folder: Path, records: Sequence[dict[str, Any]], tracking: Sequence[Span], tail: float) -> None:
    """rounds.csv, contributions.csv, refused.csv, bytes.csv and seconds.csv.

    Args:
        tracking: when the rounds were tracked.
        tail: wall seconds after the last round.
    """
    answers = [(r["round"], a) for r in records for a in r["sites"]]
    rounds = [(n, a["site"], name, value) for n, a in answers for name, value in a["metrics"].items()]
    _table(folder / "rounds.csv", rounds, ["round", "site", "name", "value"])
    _table(folder / "contributions.csv", _contributions(records), ["round", "site", "head", "labelled", "share"])
    refused = [(r["round"], site, why) for r in records for site, why in r["aggregate"]["refused"].items()]
    _table(folder / "refused.csv", refused, ["round", "site", "reason"])
    traffic = [(n, a["site"], a["sent"], a["received"]) for n, a in answers]
    _table(folder / "bytes.csv", traffic, ["round", "site", "sent", "received"])
    _table(folder / "seconds.csv", list(seconds(records, tracking, tail).items()), ["stage", "seconds"])


def seconds(records: Sequence[dict[str, Any]], tracking: Sequence[Span], tail: float) -> dict[str, float]:
    """Wall seconds by stage, from the first round to the end.

    A second in which several things happen counts for the first of them in the order of the rows: `local work` is
    the time in which at least one site computes, and `tracking`, which goes on beside the next round, only what the
    rounds wait for. `site set-up` is a site's reading of its data, its network and its optimiser's memory.
    `orchestration` is what no clock claims: Prefect, waiting and the start of the sites' processes.
    """
    spans = [span for r in records for a in r["sites"] for span in a["spans"]]
    spans += [r["aggregate"]["span"] for r in records]
    spans += tracking
    out: dict[str, float] = {}
    counted: list[tuple[float, float]] = []
    for row, stages in _STAGES.items():
        before = covered(counted)
        counted += [(begin, end) for stage, begin, end in spans if stage in stages]
        out[row] = covered(counted) - before
    out["orchestration"] = max(0.0, sum(r["wall"] for r in records) + tail - covered(counted))
    return out


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
