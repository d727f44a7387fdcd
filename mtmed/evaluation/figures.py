"""The report's figures. Each takes tables and gives an SVG, or None where there is nothing to show."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtmed.evaluation.calibration import FIELDS, Histogram
from mtmed.evaluation.glossary import directed, model_order, term, words
from mtmed.evaluation.glossary import model as model_name
from mtmed.evaluation.style import GRID, INK, MUTED, PALETTE, drawn, key, model_look, panels, site_looks
from mtmed.types import Array

MEAN = "mean over sites"


@drawn
def curves(rounds: pd.DataFrame, names: Mapping[str, str], label: Mapping[str, str] | str) -> Figure | None:
    """One panel per head over the rounds: a thin line per site and the mean over sites in bold.

    Args:
        rounds: columns round, site, name, value.
        names: `{head: name of the value}`.
        label: of the vertical axis, one for all heads or by head.
    """
    wanted = {head: rounds[rounds["name"] == name] for head, name in names.items()}
    wanted = {head: part for head, part in wanted.items() if len(part)}
    if not wanted:
        return None
    figure, axes = panels(len(wanted))
    looks = site_looks(sorted(set(rounds["site"])))
    for axis, (head, part) in zip(axes, wanted.items(), strict=True):
        _curve(axis, part, looks)
        axis.set(title=words(head), xlabel="Round", ylabel=label if isinstance(label, str) else label[head])
    key(figure, axes, [*looks, MEAN])
    return figure


def _curve(axis: Axes, part: pd.DataFrame, looks: Mapping[str, Mapping[str, Any]]) -> None:
    by_round = part.pivot_table(index="round", columns="site", values="value").sort_index()
    for site in by_round:  # a round that a site missed is NaN, and breaks its line
        axis.plot(by_round.index, by_round[site], label=str(site), marker=".", ms=5, **looks[str(site)])
    alone = "D" if len(by_round) == 1 else ""
    axis.plot(by_round.index, by_round.mean(axis=1), color=INK, linewidth=2.6, marker=alone, label=MEAN)
    axis.grid(axis="y")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


@drawn
def reliability(
    histograms: Mapping[str, Mapping[str, Histogram]], before: Mapping[str, Histogram] | None = None
) -> Figure | None:
    """One panel per head: share of positives against predicted probability; fuller bins, larger marks.

    Args:
        histograms: `{head: {model: histogram}}`, each merged over sites.
        before: `{head: histogram}` of the federated model before its probabilities were scaled; drawn hollow.
    """
    wanted = {head: {m: h for m, h in by.items() if h} for head, by in histograms.items()}
    wanted = {head: by for head, by in wanted.items() if by}
    if not wanted:
        return None
    figure, axes = panels(len(wanted), height=3.5, columns=3)
    for axis, (head, by) in zip(axes, wanted.items(), strict=True):
        axis.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="perfect")
        for model in model_order(set(by)):
            _reliability(axis, model, by[model])
            if model == "global" and (before or {}).get(head, by[model]) != by[model]:
                _unscaled(axis, (before or {})[head])
        axis.set(title=words(head), xlabel="Predicted probability", ylabel="Share with the finding")
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        axis.grid()
    key(figure, axes)
    return figure


def _reliability(axis: Axes, model: str, histogram: Histogram) -> None:
    look, main = model_look(model), model == "global"
    x, y, size = _points(histogram)
    alpha, width = (0.95, 2.2) if main else (0.6, 1.0)
    axis.scatter(x, y, s=size, alpha=alpha, linewidths=0, **look)
    axis.plot(x, y, color=look["color"], linewidth=width, alpha=alpha)
    axis.plot([], [], markersize=5, label=model_name(model), linewidth=1.5, **look)


def _unscaled(axis: Axes, histogram: Histogram) -> None:
    look = {**model_look("global"), "linestyle": (0, (3, 2)), "linewidth": 1.1}
    x, y, size = _points(histogram)
    axis.scatter(x, y, s=size, facecolors="white", edgecolors=look["color"], marker=look["marker"], linewidths=1.1)
    axis.plot(x, y, color=look["color"], linestyle=look["linestyle"], linewidth=look["linewidth"], zorder=1)
    axis.plot([], [], markersize=5, markerfacecolor="white", label=f"{model_name('global')}, before scaling", **look)


def _points(histogram: Histogram) -> tuple[Array, Array, Array]:
    """Confidence, frequency and the mark's size of the bins that hold something."""
    count, confidence, frequency = (np.array(histogram[f]) for f in FIELDS)
    full = count > 0
    return confidence[full], frequency[full], 18 + 70 * np.sqrt(count[full] / count.sum())


@drawn
def forest(table: pd.DataFrame, primary: Mapping[str, str]) -> Figure | None:
    """One panel per head: each site's value of the primary metric by model, with its interval.

    Args:
        table: as `tables.site_table` gives it.
        primary: `{head: metric}`.
    """
    wanted = {h: table[(table["head"] == h) & (table["metric"] == m)] for h, m in primary.items()}
    wanted = {head: part for head, part in wanted.items() if len(part)}
    if not wanted:
        return None
    most = max(part["site"].nunique() for part in wanted.values())
    figure, axes = panels(len(wanted), height=1.4 + 0.5 * most)
    for axis, (head, part) in zip(axes, wanted.items(), strict=True):
        _forest(axis, part)
        _widen(axis, 0.1 * (float(part["value"].max()) if term(primary[head]).in_units else 1))
        axis.set(title=words(head), xlabel=directed(primary[head]))
    key(figure, axes)
    return figure


def _widen(axis: Axes, least: float) -> None:
    """At least a tenth of the scale, and few ticks: a metric near 0 has no use for five decimals."""
    low, high = axis.get_xlim()
    margin = max(0.0, least - (high - low)) / 2
    axis.set_xlim(low - margin, high + margin)
    axis.xaxis.set_major_locator(MaxNLocator(6))


def _forest(axis: Axes, part: pd.DataFrame) -> None:
    sites = sorted(set(part["site"]))
    models = model_order(set(part["model"]))
    offsets = np.linspace(-0.24, 0.24, len(models)) if len(models) > 1 else [0.0]
    for row in range(0, len(sites), 2):
        axis.axhspan(row - 0.5, row + 0.5, color="#f6f8fa", linewidth=0, zorder=0)
    for model, offset in zip(models, offsets, strict=True):
        rows = part[part["model"] == model]
        y = np.array([sites.index(s) for s in rows["site"]]) + offset
        look = model_look(model)
        axis.hlines(y, rows["low"], rows["high"], color=look["color"], linewidth=1.3, alpha=0.75)
        axis.plot(rows["value"], y, linestyle="", markersize=6, label=model_name(model), **look)
    axis.set_yticks(range(len(sites)), sites)
    axis.set_ylim(len(sites) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0, labelcolor=INK)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x")


@drawn
def contributions(table: pd.DataFrame, heads: Sequence[str], sites: Sequence[str]) -> Figure | None:
    """One panel per head: each site's share by round; hatched where the site sent nothing for the head.

    Args:
        table: columns round, site, head, labelled, share.
    """
    if table.empty or not sites:
        return None
    figure, axes = panels(len(heads), height=1.2 + 0.3 * len(sites))
    rounds = sorted(set(table["round"]))
    mesh: Any = None
    top = max(0.1, float(np.ceil(10 * table["share"].max()) / 10))
    for axis, head in zip(axes, heads, strict=True):
        part = table[table["head"] == head].pivot_table(index="site", columns="round", values="share")
        share = part.reindex(index=list(sites), columns=rounds).to_numpy(float)
        mesh = _shares(axis, share, top)
        axis.set_title(words(head))
        axis.set_yticks(range(len(sites)), sites)
        ticks = range(0, len(rounds), max(1, len(rounds) // 10))
        axis.set_xticks(ticks, [str(rounds[i]) for i in ticks])
        axis.set_xlabel("Round")
    bar = figure.colorbar(
        mesh,
        ax=axes,
        shrink=0.8,
        fraction=0.03,
        aspect=9 * figure.get_figheight(),
        format="{x:.0%}",
        pad=0.02,
    )
    bar.outline.set_visible(False)
    return figure


def _shares(axis: Axes, share: Array, top: float) -> Any:
    rows, columns = share.shape
    axis.patch.set(hatch="////", facecolor="#fafbfc")
    masked = np.ma.masked_where(~(share > 0), share)
    edges = (np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5)
    mesh = axis.pcolormesh(*edges, masked, cmap="Blues", vmin=0, vmax=top, edgecolors="white", linewidth=1.2)
    axis.invert_yaxis()
    axis.tick_params(length=0, labelcolor=INK)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return mesh


@drawn
def seconds(stages: pd.DataFrame) -> Figure | None:
    """One stacked bar: where the time went.

    Args:
        stages: columns stage, seconds; several rows of a stage add up, in order of first appearance.
    """
    total = stages.groupby("stage", sort=False)["seconds"].sum()
    total = total[total > 0]
    if total.empty:
        return None
    figure, (axis,) = panels(1, height=1.35)
    left = 0.0
    for index, (stage, value) in enumerate(total.items()):
        colour = PALETTE[index % len(PALETTE)]
        label = f"{stage} {duration(float(value))}"
        axis.barh(0, value, left=left, color=colour, edgecolor="white", height=0.6, label=label)
        left += float(value)
    axis.set(xlim=(0, left), yticks=[], xlabel="Seconds")
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", color=GRID)
    key(figure, [axis])
    return figure


def duration(value: float) -> str:
    """`95.2` -> `1 min 35 s`."""
    if value < 90:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
