"""From a `Report` to what its template prints: words and numbers, no markup."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from mtmed.errors import UserError
from mtmed.evaluation import record, tables
from mtmed.evaluation.calibration import error_of
from mtmed.evaluation.contents import FRAMES, Report, SiteFacts
from mtmed.evaluation.gap import Gap, gap_closed
from mtmed.evaluation.glossary import MODEL_NOTES, directed, metrics, modalities, model, model_order, term, words
from mtmed.evaluation.pictures import histograms, pictures, unscaled
from mtmed.evaluation.temperature import HIGHEST, LOWEST
from mtmed.types import HeadSpec, SiteEvaluation

TEXT = ("site", "head", "name", "stage", "model")


def page(report: Report) -> dict[str, Any]:
    """Everything that report.html.j2 names."""
    report = _with_columns(report)
    primary = tables.primary_metrics(report.heads, report.primary)
    table = tables.site_table(report.evaluations)
    means = tables.over_sites(report.evaluations)
    gaps = {gap.head: gap for gap in gap_closed(report.evaluations, primary)}
    models = model_order(set(table["model"]))
    return {
        "title": report.title,
        "subtitle": _subtitle(report),
        "cards": [_card(means, head, primary.get(head.name, ""), gaps) for head in report.heads],
        "heads": [_column(head, primary) for head in report.heads],
        "models": [{"name": m, "label": model(m), "note": MODEL_NOTES.get(m, "")} for m in models],
        "matrix": [_matrix_row(report, site, table, primary) for site in _sites(report)],
        "means": [_mean_cell(means, head.name, primary.get(head.name, "")) for head in report.heads],
        "pictures": pictures(report, table, primary),
        "everything": [_full_row(row) for row in table.to_dict("records")],
        "definitions": _definitions(set(table["metric"])),
        "calibration": _calibration(report, means),
        "limits": (LOWEST, HIGHEST),
        "contributions": record.contribution_rows(report),
        "absences": record.absences(report),
        "traffic": record.traffic(report),
        "sites": record.site_rows(report),
        "lineage": record.lineage_rows(report),
        "number": number,
        "span": span,
    }


def _with_columns(report: Report) -> Report:
    """The report with all columns in frames that came empty, and names as text.

    Raises:
        UserError: a frame with rows lacks a column.
    """
    frames: dict[str, Any] = {}
    for name, columns in FRAMES.items():
        frame: pd.DataFrame = getattr(report, name)
        missing = [c for c in columns if c not in frame.columns]
        if missing and len(frame):
            raise UserError(f"the report's {name} lack {', '.join(missing)}: expected {', '.join(columns)}")
        frame = frame.reindex(columns=list(columns)) if missing else frame
        # a site named 7 is a number to whoever reads the table from a file
        frames[name] = frame.astype({c: str for c in columns if c in TEXT})
    return replace(report, **frames)


def number(value: float | None, digits: int = 3) -> str:
    """`0.8125` -> `0.813`; an em dash for None and NaN."""
    return "—" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def span(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval for readers, or nothing."""
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return ""
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _subtitle(report: Report) -> str:
    n, rounds, heads = len(report.sites), report.lineage.rounds, len(report.heads)
    parts = [
        record.quantity(n, "site"),
        record.quantity(heads, "learning task"),
        record.quantity(rounds, "round"),
    ]
    return " · ".join([*parts, f"strategy {report.strategy}"])


def _sites(report: Report) -> list[str]:
    return sorted({s.name for s in report.sites} | {e.site for e in report.evaluations})


def _column(head: HeadSpec, primary: Mapping[str, str]) -> dict[str, str]:
    return {"name": head.name, "label": words(head.name), "metric": directed(primary.get(head.name, ""))}


def _mean(means: pd.DataFrame, model_name: str, head: str, metric: str) -> dict[str, Any] | None:
    found = means[(means["model"] == model_name) & (means["head"] == head) & (means["metric"] == metric)]
    return {str(k): v for k, v in found.iloc[0].items()} if len(found) else None


def _card(means: pd.DataFrame, head: HeadSpec, metric: str, gaps: Mapping[str, Gap]) -> dict[str, Any]:
    return {
        "label": words(head.name),
        "kind": words(head.kind),
        "metric": directed(metric),
        "mean": _mean(means, "global", head.name, metric),
        "gap": gaps.get(head.name),
        "track": _track(gaps.get(head.name)),
    }


def _track(gap: Gap | None) -> list[dict[str, Any]]:
    """Places of local, global and pooled on a line, in per cent of its length, the better to the right; empty where
    one is missing."""
    if gap is None or gap.local is None or gap.federated is None or gap.pooled is None:
        return []
    found = {"local": gap.local, "global": gap.federated, "pooled": gap.pooled}
    metric, low, high = term(gap.metric), min(found.values()), max(found.values())
    middle = (low + high) / 2
    least = 0.02 * (middle if metric.in_units else 1)  # differences in the third digit are not drawn as a chasm
    scale = (88 if metric.higher_is_better else -88) / max(high - low, least, 1e-9)
    return [
        {"model": m, "label": model(m), "value": v, "left": round(50 + scale * (v - middle), 2)}
        for m, v in found.items()
    ]


def _matrix_row(report: Report, site: str, table: pd.DataFrame, primary: Mapping[str, str]) -> dict[str, Any]:
    facts = next((s for s in report.sites if s.name == site), None)
    evaluation = next((e for e in report.evaluations if e.site == site), None)
    mine = table[table["site"] == site]
    cells = [_cell(mine, head, primary.get(head.name, ""), facts, evaluation) for head in report.heads]
    return {"site": site, "modality": _modality(facts), "cells": cells}


def _modality(facts: SiteFacts | None) -> str:
    return "" if facts is None else modalities(facts.modalities)


def _cell(
    table: pd.DataFrame,
    head: HeadSpec,
    metric: str,
    facts: SiteFacts | None,
    evaluation: SiteEvaluation | None,
) -> dict[str, Any]:
    rows = table[(table["head"] == head.name) & (table["metric"] == metric)].set_index("model")
    main = rows.loc["global"].to_dict() if "global" in rows.index else None
    others = [(m, model(m), rows.loc[m, "value"]) for m in model_order(set(rows.index)) if m != "global"]
    reason = "" if main else _why_empty(head, facts, evaluation)
    return {"main": main, "others": others, "reason": reason}


def _why_empty(head: HeadSpec, facts: SiteFacts | None, evaluation: SiteEvaluation | None) -> str:
    if facts is not None and not set(facts.modalities) & set(head.modalities):
        return "not for " + _modality(facts)
    if evaluation is None:
        return "site not evaluated"
    if "global" not in evaluation.heads:
        return "no federated model"
    if head.name in evaluation.heads["global"]:
        return "undefined on these test studies"
    if facts is not None and not facts.labelled.get(head.name):
        return "not labelled here"
    return "not evaluated"


def _mean_cell(means: pd.DataFrame, head: str, metric: str) -> dict[str, Any]:
    found = means[(means["head"] == head) & (means["metric"] == metric)]
    others = [m for m in model_order(set(found["model"])) if m != "global"]
    values = dict(zip(found["model"], found["macro"], strict=True))
    return {
        "main": _mean(means, "global", head, metric),
        "others": [(m, model(m), values[m]) for m in others],
    }


def _full_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    labels = {"model": model(row["model"]), "head": words(row["head"]), "metric": term(row["metric"]).label}
    return {**{str(k): v for k, v in row.items()}, **labels}


def _calibration(report: Report, means: pd.DataFrame) -> list[dict[str, Any]]:
    """Per head and model with probabilities: its temperature, and the errors of all sites together and at the worst."""
    before, rows = unscaled(report), []
    for head, by_model in histograms(report).items():
        for name, histogram in by_model.items():
            worst = _mean(means, name, head, "calibration_error")
            if histogram and worst:
                row = {"head": words(head), "model": model(name), "error": error_of(histogram)}
                row |= {"worst": worst["worst"], "site": worst["worst_site"], "before": error_of(before[head][name])}
                row |= _temperature(report.temperatures, name, head)
                rows.append({**row, "examples": record.thousands(sum(histogram["count"]))})
    return rows


def _temperature(table: pd.DataFrame, model_name: str, head: str) -> dict[str, Any]:
    """The temperature that all sites share, and what it was found on, in words; a site alone finds its own."""
    if model_name == "local":
        return {"temperature": None, "found": "each site its own"}
    mine = table[(table["model"] == model_name) & (table["head"] == head)]
    images = int(mine["images"].sum())
    if not images:
        return {"temperature": None, "found": "not scaled: no validation label"}
    value, sites = float(mine["temperature"].iloc[0]), int(mine["sites"].iloc[0])
    limit = "; at the limit" if value in (LOWEST, HIGHEST) else ""
    found = f"{record.quantity(images, 'image')} at {record.quantity(sites, 'site')}{limit}"
    return {"temperature": value, "found": found}


def _definitions(present: set[str]) -> Sequence[tuple[str, str]]:
    """Label and definition of the metrics on the page, each once."""
    found = [metric for name, metric in metrics().items() if name in present and metric.definition]
    return list(dict.fromkeys((t.label, t.definition) for t in found))
