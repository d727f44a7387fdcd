"""How figures look: one ink, few colours, no chart furniture; drawn without pyplot, the same every time."""

import io
import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

P = ParamSpec("P")

INK, MUTED, FAINT, GRID = "#1c2733", "#5b6875", "#9aa5b1", "#e4e8ec"
# Okabe and Ito 2008, without the yellow, which is lost on white
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
MODEL_COLOURS = {"global": "#0b4f8a", "local": "#d55e00", "pooled": "#009e73"}
MODEL_MARKS = {"global": "o", "local": "s", "pooled": "D", "ensemble": "^", "threshold": "X"}
LEGEND_WIDTH = 120  # characters
FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.labelcolor": MUTED,
    "lines.linewidth": 1.4,
    "hatch.linewidth": 0.5,
    "hatch.color": "#ccd3da",
    "svg.fonttype": "none",  # text stays text: small, sharp, in the page's font
    "svg.hashsalt": "mtmed",
}


def drawn(draw: Callable[P, Figure | None]) -> Callable[P, str | None]:
    """Turns a function that draws a figure into one that gives its SVG; None, nothing to draw, stays None."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> str | None:
        with matplotlib.rc_context(STYLE):
            figure = draw(*args, **kwargs)
            return None if figure is None else _svg(figure)

    return wrapper


def panels(count: int, width: float = 9.6, height: float = 2.9, columns: int = 2) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, at most `columns` side by side."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    figure = Figure(figsize=(width, height * rows), layout=layout)
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = [axis for row in grid for axis in row]
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def site_looks(sites: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and dash of each site, the same in every figure of a report."""
    n = len(PALETTE)
    return {
        site: {"color": PALETTE[i % n], "linestyle": DASHES[i // n % len(DASHES)]}
        for i, site in enumerate(sorted(sites))
    }


def model_look(model: str) -> dict[str, Any]:
    """Colour and mark of a model: never by colour alone."""
    return {"color": MODEL_COLOURS.get(model, MUTED), "marker": MODEL_MARKS.get(model, "v")}


def key(figure: Figure, axes: Sequence[Axes], order: Sequence[str] = ()) -> None:
    """One legend above all panels: each label once, in `order` or as they come."""
    entries = {label: h for axis in axes for h, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    labels = [label for label in order or entries if label in entries]
    handles = [entries[label] for label in labels]
    widths = [7 + len(label) for label in labels]  # in characters, with the mark and its space
    columns = len(labels) if sum(widths) <= LEGEND_WIDTH else max(1, LEGEND_WIDTH // max(widths))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace("'DejaVu Sans', sans-serif", FONTS)
