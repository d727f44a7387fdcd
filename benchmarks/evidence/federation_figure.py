"""Strategies at a glance: the gap that they close, how fast, and at what price in bytes."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.evidence.claimed_federation import COMPLETE, GIVEN, HEADS, MASKS, OURS, TUNED
from benchmarks.evidence.drawing import Drawing, Rows
from benchmarks.evidence.federation_tables import ROUND, TRAFFIC, by_seed, gap, rounds_shown
from benchmarks.evidence.paired import ratio_of_means
from mtmed.evaluation.glossary import term, words
from mtmed.evaluation.style import INK, MUTED, PALETTE

BASE, LONG = "fed", "fed-rounds-20"
MARKS = "osD^vXP"
FRAME = (-1.5, 2.0)  # of the gap closed; where the gap is nearly 0, an interval may go on for ever
SHOWN = (OURS, *COMPLETE)  # side by side
WORDS = {"order=together": "side by side", "federation.coding.bits=4": "4 bits", "server=extrapolated": "longer step"}

Values = dict[str, dict[str, Any]]


def _shown(rows: Rows) -> Values:
    """By panel, those that have rows."""
    base, long = rows.get(BASE), rows.get(LONG)
    panels: Values = {
        "gap": {} if base is None else _gaps(base),
        "rounds": {} if long is None else _rounds(long),
        "bytes": {} if base is None else _prices(base),
    }
    return {panel: found for panel, found in panels.items() if found}


def _gaps(rows: pd.DataFrame) -> dict[str, dict[str, tuple[float, float, float]]]:
    """{arm: {head: share of the gap, and its interval}}, where there is a gap."""
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for arm in SHOWN:
        for head, metric in HEADS.items():
            way = gap(rows, arm, head, metric)
            share = ratio_of_means(way[0].to_numpy(), way[1].to_numpy()) if way and len(way[0]) > 1 else None
            if share:
                low, mean, high = (round(float(v), 9) for v in (share.low, share.mean, share.high))
                found.setdefault(arm, {})[head] = (low, mean, high)
    return found


def _rounds(rows: pd.DataFrame) -> dict[str, dict[int, float]]:
    """{arm: {round: mean Dice}}; the last round is that of the cell."""
    from benchmarks.federate.cells import find

    found: dict[str, dict[int, float]] = {}
    metric = HEADS[MASKS]
    for arm in dict.fromkeys(rows["arm"]):
        means = {n: _mean(rows, arm, MASKS, f"{metric}{ROUND}{n}") for n in rounds_shown(rows)}
        means[find(LONG).rounds] = _mean(rows, arm, MASKS, metric)
        if all(np.isfinite(list(means.values()))):
            found[arm] = means
    return found


def _prices(rows: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """{arm: (MB of a site in a round, mean Dice)}, the best first; without ablations of the precision."""
    found = {}
    for arm in dict.fromkeys(rows["arm"]):
        if GIVEN in arm:
            continue
        price = sum(_mean(rows, arm, "bytes", way) for way in TRAFFIC) / 1e6
        if np.isfinite(price):
            found[arm] = (round(price, 9), _mean(rows, arm, MASKS, HEADS[MASKS]))
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def _named(arm: str) -> str:
    """An arm's label in words."""
    name, _, options = arm.partition("@")
    if arm in TUNED.values():
        return f"{name}, tuned"
    return ", ".join([name, *(WORDS.get(option, option) for option in options.split(",") if option)])


def _mean(rows: pd.DataFrame, arm: str, head: str, metric: str) -> float:
    return round(float(by_seed(rows, arm, head, metric).mean()), 9)


def _draw(figure: Figure, shown: Values) -> None:
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for axis, (panel, values) in zip(axes, shown.items(), strict=True):
        PANELS[panel](axis, values)


def _draw_gap(axis: Axes, found: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> None:
    heads = [head for head in HEADS if any(head in by for by in found.values())]
    width = 0.8 / len(found)
    for n, (arm, by) in enumerate(found.items()):
        places = [heads.index(head) + (n - (len(found) - 1) / 2) * width for head in by]
        lows, means, highs = zip(*by.values(), strict=True)
        axis.bar(places, means, width * 0.9, label=arm, color=PALETTE[n % len(PALETTE)])
        axis.vlines(places, lows, highs, color=INK, linewidth=1)
    for level in (0, 1):
        axis.axhline(level, color=MUTED, linewidth=1, linestyle=(0, (4, 2)) if level else "-")
    axis.set(title="Gap closed", ylabel="from sites alone (0) to pooled (1)", ylim=FRAME)
    axis.set_xticks(range(len(heads)), [words(head).replace(" ", "\n", 1) for head in heads])
    axis.legend(loc="lower right", ncols=2)


def _draw_rounds(axis: Axes, found: Mapping[str, Mapping[int, float]]) -> None:
    for n, (arm, means) in enumerate(found.items()):
        mark, colour = MARKS[n % len(MARKS)], PALETTE[n % len(PALETTE)]
        axis.plot(list(means), list(means.values()), label=arm, color=colour, marker=mark, markersize=4)
    axis.set(title="Rounds", xlabel="round", ylabel=f"{words(MASKS)}, {term(HEADS[MASKS]).label}")
    axis.grid(axis="y")
    axis.legend()


def _draw_prices(axis: Axes, found: Mapping[str, tuple[float, float]]) -> None:
    for n, (arm, (price, dice)) in enumerate(found.items()):
        mark, colour = MARKS[n % len(MARKS)], PALETTE[n % len(PALETTE)]
        axis.plot([price], [dice], label=_named(arm), color=colour, marker=mark, linestyle="", markersize=6)
    axis.set(title="Bytes", xlabel="MB of a site in a round, both ways", ylabel=f"{words(MASKS)}, Dice")
    axis.set_xlim(left=0)
    axis.grid(axis="y")
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), title="best first")


PANELS: Mapping[str, Callable[[Axes, Any], None]] = {"gap": _draw_gap, "rounds": _draw_rounds, "bytes": _draw_prices}
DRAWING = Drawing("federation.png", (13.5, 4.2), _shown, _draw)
