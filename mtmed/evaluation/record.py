"""The report's records for the auditor: who contributed, what travelled, which data and code were used."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from mtmed.evaluation.contents import Report
from mtmed.evaluation.figures import duration
from mtmed.evaluation.glossary import modalities, words
from mtmed.types import SPLITS


def contribution_rows(report: Report) -> list[dict[str, Any]]:
    """Of each site: rounds taken part in, and of each head its labelled images and mean share."""
    table = report.contributions
    if table.empty:
        return []
    return [_contributor(report, site) for site in sorted(set(table["site"]))]


def _contributor(report: Report, site: str) -> dict[str, Any]:
    mine = report.contributions[report.contributions["site"] == site]
    cells = []
    for head in report.heads:
        part = mine[(mine["head"] == head.name) & (mine["share"] > 0)]
        rounds = part["round"].nunique()
        cells.append(
            {
                "labelled": int(part["labelled"].max()) if rounds else 0,
                "share": float(part["share"].mean()) if rounds else None,
                "rounds": ranges(part["round"]),
            }
        )
    return {"site": site, "rounds": ranges(mine["round"]), "cells": cells}


def absences(report: Report) -> list[str]:
    """A sentence per refused update, and one per site that missed rounds: nobody is dropped in silence."""
    table, refused = report.contributions, report.refused
    out = [f"{r.site}, round {r.round}: its update was refused; {r.reason}." for r in refused.itertuples()]
    every = set(table["round"])
    for site in sorted(s.name for s in report.sites):
        missed = every - set(table.loc[table["site"] == site, "round"])
        missed -= set(refused.loc[refused["site"] == site, "round"])
        if missed:
            out.append(f"{site} sent nothing in {quantity(len(missed), 'round')}: {ranges(missed)}.")
    return out


def traffic(report: Report) -> dict[str, Any]:
    """Bytes by site and in all."""
    if report.traffic.empty:
        return {}
    by = report.traffic.groupby("site")[["sent", "received"]].sum()
    rows = [(str(site), size(row["sent"]), size(row["received"])) for site, row in by.iterrows()]
    sent, received = float(by["sent"].sum()), float(by["received"].sum())
    per_round = (sent + received) / len(report.traffic)
    return {"rows": rows, "sent": size(sent), "received": size(received), "per_round": size(per_round)}


def site_rows(report: Report) -> list[dict[str, Any]]:
    """The sites' data: counts, labels and version."""
    return [
        {
            "name": s.name,
            "modality": modalities(s.modalities),
            "studies": [s.studies.get(split, 0) for split in SPLITS],
            "labelled": [s.labelled.get(head.name, 0) for head in report.heads],
            "quarantined": s.quarantined,
            "hash": s.data_hash,
        }
        for s in sorted(report.sites, key=lambda s: s.name)
    ]


def lineage_rows(report: Report) -> list[tuple[str, str, bool]]:
    """Label, value, and whether the value is a fingerprint (printed in monospace)."""
    made = report.lineage
    return [
        ("Run", made.run, True),
        ("Configuration", made.config, True),
        ("Code", made.code, True),
        ("Strategy", report.strategy, False),
        ("Seed", str(made.seed), False),
        ("Rounds", str(made.rounds), False),
        ("Parameters", thousands(made.parameters), False),
        ("Time", _time(report.seconds), False),
        *((words(k), v, False) for k, v in made.more.items()),
    ]


def _time(seconds: pd.DataFrame) -> str:
    return "not recorded" if seconds.empty else duration(float(seconds["seconds"].sum()))


def ranges(numbers: Iterable[int]) -> str:
    """`1, 2, 3, 5` -> `1–3, 5`."""
    runs: list[list[int]] = []
    for n in sorted({int(n) for n in numbers}):
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def size(count: float) -> str:
    """`3_200_000` -> `3.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def thousands(count: float) -> str:
    """`3482117` -> `3 482 117`, with narrow spaces that do not break."""
    return f"{count:,.0f}".replace(",", "\u202f")


def quantity(count: int, noun: str) -> str:
    """`1, round` -> `1 round`; `2, round` -> `2 rounds`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
