"""What each arm reaches with fewer masks: a table, and docs/label_efficiency.png."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.evidence.claimed import MASKS
from benchmarks.evidence.figures import spread, table
from benchmarks.evidence.paired import estimate
from mtmed.evaluation.glossary import term, words
from mtmed.evaluation.style import PALETTE, STYLE

HEAD, METRIC = "lesion_segmentation", "dice"
MARKS = "osD^vXP"
DIGEST = "Description"  # of the PNG: what it was drawn from


def points(rows: Mapping[str, pd.DataFrame]) -> dict[str, dict[int, "pd.Series[float]"]]:
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


def efficiency_table(rows: Mapping[str, pd.DataFrame]) -> str:
    """Markdown; nothing where nothing ran."""
    found = points(rows)
    columns = [share for share in MASKS if any(share in by for by in found.values())]
    return table([{"arm": arm} | {f"{s} %": spread(by[s]) for s in columns if s in by} for arm, by in found.items()])


def digest(rows: Mapping[str, pd.DataFrame]) -> str:
    """Of the values that the figure shows."""
    shown = {arm: {s: values.round(9).tolist() for s, values in by.items()} for arm, by in points(rows).items()}
    return sha256(repr(shown).encode()).hexdigest()


def drawn_from(path: Path) -> str:
    """The digest of the values that a figure was drawn from."""
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info[DIGEST])


def draw(rows: Mapping[str, pd.DataFrame], path: Path) -> None:
    """A curve of means for each arm, with their 95 % intervals; the same bytes every time."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 3.4), layout="constrained")
        axis = figure.subplots()
        for n, (arm, by) in enumerate(points(rows).items()):
            _curve(axis, arm, by, PALETTE[n % len(PALETTE)], MARKS[n % len(MARKS)])
        axis.set(title=words(HEAD), xlabel="masks kept, %", ylabel=term(METRIC).label, xticks=list(MASKS))
        axis.grid(axis="y")
        axis.legend()
        figure.savefig(path, dpi=120, metadata={"Software": None, DIGEST: digest(rows)})


def _curve(axis: "matplotlib.axes.Axes", arm: str, by: dict[int, "pd.Series[float]"], colour: str, mark: str) -> None:
    several = {share: estimate(values.to_numpy()) for share, values in by.items() if len(values) > 1}
    means = [float(values.mean()) for values in by.values()]
    axis.plot(list(by), means, label=arm, color=colour, marker=mark, markersize=5)
    lows, highs = [e.low for e in several.values()], [e.high for e in several.values()]
    axis.vlines(list(several), lows, highs, color=colour, linewidth=1)
