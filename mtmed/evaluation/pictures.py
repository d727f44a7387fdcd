"""The report's pictures as data addresses, each with a text that says what it shows."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd

from mtmed.evaluation import calibration, figures
from mtmed.evaluation.contents import Overlay, Report
from mtmed.evaluation.glossary import directed, model_order, words
from mtmed.types import HeadEvaluation

RANKS = ("best", "median", "worst")


@dataclass(frozen=True)
class Picture:
    """Data address and alternative text."""

    source: str
    alt: str


def pictures(report: Report, table: pd.DataFrame, primary: Mapping[str, str]) -> dict[str, Any]:
    """Every figure by name; None where there is nothing to show."""
    sites = ", ".join(sorted(s.name for s in report.sites))
    heads = [head.name for head in report.heads]
    validation = {h: f"validation/{h}/{m}" for h, m in primary.items()}
    labels = {h: directed(m) for h, m in primary.items()}
    train = {h: f"train/{h}" for h in heads}
    return {
        "forest": _svg(
            figures.forest(table, primary),
            f"Dot plot of each site's value by model with 95 % intervals ({sites}), as in the table above.",
        ),
        "validation": _svg(
            figures.curves(report.rounds, validation, labels),
            f"Validation metric of the federated model by round, one panel per task, by site ({sites}).",
        ),
        "training": _svg(
            figures.curves(report.rounds, train, "Training loss"),
            f"Training loss over the rounds, one panel per task, by site ({sites}).",
        ),
        "reliability": _svg(
            figures.reliability(histograms(report), {h: by.get("global", {}) for h, by in unscaled(report).items()}),
            "Reliability diagrams: share with the finding against predicted probability, one panel per task, "
            "before and after temperature scaling.",
        ),
        "contributions": _svg(
            figures.contributions(report.contributions, heads, sorted(s.name for s in report.sites)),
            "Heat map of each site's share in each task by round; the table below gives the mean shares.",
        ),
        "seconds": _svg(figures.seconds(report.seconds), "Stacked bar of the seconds by stage."),
        "overlays": _overlays(report),
    }


Histograms = dict[str, dict[str, dict[str, list[float]]]]


def histograms(report: Report) -> Histograms:
    """`{head: {model: histogram}}`, merged over sites."""
    return _merged(report, lambda found: found.calibration)


def unscaled(report: Report) -> Histograms:
    """The same before the probabilities were scaled."""
    return _merged(report, lambda found: found.unscaled)


def _merged(report: Report, of: Callable[[HeadEvaluation], calibration.Histogram]) -> Histograms:
    models = model_order({m for e in report.evaluations for m in e.heads} - {"threshold"})
    out: Histograms = {}
    for head in report.heads:
        for name in models:
            found = [e.heads.get(name, {}).get(head.name) for e in report.evaluations]
            out.setdefault(head.name, {})[name] = calibration.merge([of(h) for h in found if h is not None])
    return out


def _overlays(report: Report) -> list[dict[str, Any]]:
    """Groups by head, then site; best before worst."""
    ordered = sorted(report.overlays, key=lambda o: (o.head, o.site, _rank(o), o.caption))
    return [
        {"head": words(head), "site": site, "items": [_overlay(o) for o in items]}
        for (head, site), items in groupby(ordered, key=lambda o: (o.head, o.site))
    ]


def _rank(overlay: Overlay) -> int:
    return RANKS.index(overlay.rank) if overlay.rank in RANKS else len(RANKS)


def _overlay(overlay: Overlay) -> dict[str, Any]:
    alt = f"{words(overlay.head)} at {overlay.site}, {overlay.rank} case: {overlay.caption}"
    return {"rank": overlay.rank, "caption": overlay.caption, "picture": _picture("png", overlay.png, alt)}


def _svg(text: str | None, alt: str) -> Picture | None:
    return None if text is None else _picture("svg+xml", text.encode(), alt)


def _picture(kind: str, content: bytes, alt: str) -> Picture:
    return Picture(f"data:image/{kind};base64,{b64encode(content).decode()}", alt)
