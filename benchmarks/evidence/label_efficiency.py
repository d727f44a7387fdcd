"""What each arm reaches with fewer masks: a table, and a figure."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.evidence.claimed import MASKS
from benchmarks.evidence.drawing import Drawing, Rows
from benchmarks.evidence.figures import spread, table
from benchmarks.evidence.paired import estimate
from mtmed.evaluation.glossary import term, words
from mtmed.evaluation.style import PALETTE

HEAD, METRIC = "lesion_segmentation", "dice"
MARKS = "osD^vXP"

Curves = dict[str, dict[int, tuple[float, float, float]]]


def points(rows: Rows) -> dict[str, dict[int, "pd.Series[float]"]]:
    """`{arm: {% of masks: values over seeds}}`, of arms that ran with fewer than all masks."""
    found: dict[str, dict[int, pd.Series[float]]] = {}
    for share, experiment in MASKS.items():
        part = rows.get(experiment)
        if part is None:
            continue
        part = part[(part["head"] == HEAD) & (part["metric"] == METRIC)]
        for arm, own in part.groupby("arm", sort=False):
            found.setdefault(str(arm), {})[share] = own["value"]
    return {arm: by for arm, by in found.items() if min(by) < max(MASKS)}


def efficiency_table(rows: Rows) -> str:
    """Markdown; nothing where nothing ran."""
    found = points(rows)
    columns = [share for share in MASKS if any(share in by for by in found.values())]
    return table([{"arm": arm} | {f"{s} %": spread(by[s]) for s in columns if s in by} for arm, by in found.items()])


def _curves(rows: Rows) -> Curves:
    """Means with their 95 % intervals."""
    return {arm: {share: _interval(values) for share, values in by.items()} for arm, by in points(rows).items()}


def _interval(values: "pd.Series[float]") -> tuple[float, float, float]:
    mean = float(values.mean())
    found = estimate(values.to_numpy()) if len(values) > 1 else None
    low, high = (found.low, found.high) if found else (mean, mean)
    return round(mean, 9), round(low, 9), round(high, 9)


def _draw(figure: Figure, curves: Curves) -> None:
    axis = figure.subplots()
    for n, (arm, by) in enumerate(curves.items()):
        _curve(axis, arm, by, PALETTE[n % len(PALETTE)], MARKS[n % len(MARKS)])
    axis.set(title=words(HEAD), xlabel="masks kept, %", ylabel=term(METRIC).label, xticks=list(MASKS))
    axis.grid(axis="y")
    axis.legend()


def _curve(axis: Axes, arm: str, by: dict[int, tuple[float, float, float]], colour: str, mark: str) -> None:
    means, lows, highs = zip(*by.values(), strict=True)
    axis.plot(list(by), means, label=arm, color=colour, marker=mark, markersize=5)
    axis.vlines(list(by), lows, highs, color=colour, linewidth=1)


DRAWING = Drawing("label_efficiency.png", (5.6, 3.4), _curves, _draw)
