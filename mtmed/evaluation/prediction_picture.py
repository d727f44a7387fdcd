"""A prediction drawn on its image, at the image's aspect ratio, with what it says in words below."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mtmed.evaluation.overlay import PREDICTED
from mtmed.inference import THRESHOLD, Finding, Prediction
from mtmed.types import Array

SCORE = 0.3  # boxes below it are in the JSON file, but not drawn
COLOURS = (PREDICTED, "#ff7eb6", "#82b1ff", "#c6f068", "#ffb86b")
PAPER, INK = "#10161d", "#e4e8ec"
DPI = 100
SHORTEST, LONGEST, LINE = 380, 1024, 18  # pixels

Line = tuple[str, str]  # colour, text


def draw(prediction: Prediction) -> bytes:
    """A PNG; masks are outlined, boxes dashed, each class of each head in a colour of its own."""
    height, width = prediction.image.shape
    scale = min(LONGEST, max(SHORTEST, height, width)) / max(height, width)
    wide, tall = max(SHORTEST, round(width * scale)), max(1, round(height * scale))
    lines = list(_lines(prediction))
    footer = LINE * (len(lines) + 1)
    figure = Figure(figsize=(wide / DPI, (tall + footer) / DPI), dpi=DPI, facecolor=PAPER)
    axis = figure.add_axes((0.0, footer / (tall + footer), 1.0, tall / (tall + footer)))
    _picture(axis, prediction)
    for number, (colour, text) in enumerate(lines):
        y = (footer - LINE * (number + 1)) / (tall + footer)
        figure.text(8 / wide, y, text, color=colour, fontsize=8, va="center", parse_math=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _picture(axis: Axes, prediction: Prediction) -> None:
    image = prediction.image
    height, width = image.shape
    axis.set_axis_off()
    # pixel edges at whole numbers, as boxes have them
    axis.imshow(image, cmap="gray", vmin=0, vmax=max(1e-6, float(image.max())), extent=(0, width, height, 0))
    for colour, finding, name in _coloured(prediction):
        if name in finding.masks:
            _outline(axis, finding.masks[name] > THRESHOLD, colour)
        for box in _shown(finding, name):
            x1, y1, x2, y2 = box["xyxy"]
            axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=colour, lw=1.2, ls=(0, (3, 2))))
            axis.text(x1, y1, f"{box['score']:.2f}", color=colour, fontsize=7, va="bottom", clip_on=True)


def _outline(axis: Axes, mask: Array, colour: str) -> None:
    """The outline of a mask [H,W] bool, of a large one coarsely; nothing of it is dropped."""
    step = -(-max(mask.shape) // LONGEST)
    rows, columns = (np.arange(0, side, step) for side in mask.shape)
    coarse = np.maximum.reduceat(np.maximum.reduceat(mask, rows, axis=0), columns, axis=1)
    if coarse.any() and not coarse.all():
        x, y = columns + step / 2, rows + step / 2
        for ink, wide in ((PAPER, 2.6), (colour, 1.3)):  # edged in dark, to be seen on bright tissue
            axis.contour(x, y, coarse.astype(float), levels=[0.5], colors=[ink], linewidths=wide)


def _coloured(prediction: Prediction) -> Iterator[tuple[str, Finding, str]]:
    """(colour, finding, class) of everything that is drawn."""
    drawn = [(f, c) for f in prediction.findings.values() for c in _classes(f)]
    for number, (finding, name) in enumerate(drawn):
        yield COLOURS[number % len(COLOURS)], finding, name


def _classes(finding: Finding) -> list[str]:
    return [*finding.masks, *dict.fromkeys(box["class"] for box in finding.boxes)]


def _shown(finding: Finding, name: str) -> list[dict[str, Any]]:
    return [box for box in finding.boxes if box["class"] == name and box["score"] > SCORE]


def _lines(prediction: Prediction) -> Iterator[Line]:
    """One line per class of each head, in the colour of what is drawn."""
    colours = {(id(finding), name): colour for colour, finding, name in _coloured(prediction)}
    for head, finding in prediction.findings.items():
        title = head.replace("_", " ")
        for name, values in finding.masks.items():
            share = float((values > THRESHOLD).mean())
            yield colours[id(finding), name], f"{title}: {name} {100 * share:.1f} % of the image"
        for name, probability in finding.probabilities.items():
            yield INK, f"{title}: {name} {probability:.2f}"
        for name, value in finding.measurements.items():
            yield INK, f"{title}: {name} {value:.1f}"
        if not (finding.masks or finding.probabilities or finding.measurements):
            yield from _box_lines(title, finding, colours)


def _box_lines(title: str, finding: Finding, colours: dict[tuple[int, str], str]) -> Iterator[Line]:
    shown = {name: len(_shown(finding, name)) for name in _classes(finding)}
    for name, count in shown.items():
        if count:
            yield colours[id(finding), name], f"{title}: {name} in {count} place{'s' if count > 1 else ''}"
    if not any(shown.values()):
        yield INK, f"{title}: nothing above a score of {SCORE}"
