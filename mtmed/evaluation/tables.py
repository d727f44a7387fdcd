"""Sites' evaluations as tables: site x head, and the mean and the worst over sites."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mtmed.evaluation.bootstrap import interval
from mtmed.evaluation.glossary import term
from mtmed.types import Array, HeadEvaluation, HeadSpec, SiteEvaluation

COLUMNS = ["site", "model", "head", "metric", "value", "low", "high", "images", "patients"]
KEYS = ["model", "head", "metric"]


def site_table(evaluations: Sequence[SiteEvaluation]) -> pd.DataFrame:
    """One row per site, model, head and metric, sorted; `low`, `high` are NaN where there is no interval."""
    rows = [
        _row(e.site, model, head, evaluation, metric)
        for e in sorted(evaluations, key=lambda e: e.site)
        for model, heads in sorted(e.heads.items())
        for head, evaluation in sorted(heads.items())
        for metric in sorted(evaluation.metrics)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def over_sites(evaluations: Sequence[SiteEvaluation]) -> pd.DataFrame:
    """One row per model, head and metric: the mean over sites that have it, its interval, and the worst site.

    A site counts once, however many studies it has. The interval keeps the sites and redraws their patients.
    Columns: model, head, metric, macro, low, high, worst, worst_site, sites.
    """
    rows = []
    for key, group in site_table(evaluations).groupby(KEYS, sort=True):
        model, head, metric = (str(part) for part in key)
        best_first = group.sort_values("value", ascending=not term(metric).higher_is_better, kind="stable")
        low, high = interval(macro_replicates(evaluations, model, head, metric)) or (np.nan, np.nan)
        worst = best_first.iloc[-1]
        rows.append(
            {
                **{"model": model, "head": head, "metric": metric, "macro": group["value"].mean()},
                **{"low": low, "high": high, "worst": worst["value"], "worst_site": worst["site"]},
                "sites": len(group),
            }
        )
    return pd.DataFrame(rows, columns=[*KEYS, "macro", "low", "high", "worst", "worst_site", "sites"])


def values(evaluations: Sequence[SiteEvaluation], model: str, head: str, metric: str) -> dict[str, float]:
    """The metric by site, where the site has it."""
    found = {e.site: e.heads.get(model, {}).get(head) for e in evaluations}
    return {s: h.metrics[metric] for s, h in sorted(found.items()) if h is not None and metric in h.metrics}


def macro_replicates(
    evaluations: Sequence[SiteEvaluation],
    model: str,
    head: str,
    metric: str,
    sites: Iterable[str] | None = None,
) -> list[float]:
    """Bootstrap replicates [R] of the mean over `sites` (all that have the metric): the i-th of each site.

    Sites are independent, so any pairing of their replicates is a sample; R is the shortest site's number.
    """
    chosen = set(values(evaluations, model, head, metric) if sites is None else sites)
    ordered = sorted((e for e in evaluations if e.site in chosen), key=lambda e: e.site)  # sums are bit-equal
    drawn = [e.heads[model][head].replicates.get(metric, ()) for e in ordered]
    count = min((len(r) for r in drawn), default=0)
    columns: Array = np.array([r[:count] for r in drawn], float).reshape(len(drawn), count)
    return columns.mean(0).tolist() if count else []


def primary_metrics(heads: Iterable[HeadSpec], by_kind: Mapping[str, str]) -> dict[str, str]:
    """The metric that a head is judged by, from its kind: `{"segmentation": "dice"}` -> `{head: "dice"}`."""
    return {head.name: by_kind[head.kind] for head in heads if head.kind in by_kind}


def _row(site: str, model: str, head: str, evaluation: HeadEvaluation, metric: str) -> list[Any]:
    low, high = interval(evaluation.replicates.get(metric, ())) or (np.nan, np.nan)
    counts = [evaluation.images, evaluation.patients]
    return [site, model, head, metric, evaluation.metrics[metric], low, high, *counts]
