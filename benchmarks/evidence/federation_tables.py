"""What strategies gave: a row for each, and how they went on from round to round."""

import pandas as pd

from benchmarks.evidence.claimed_federation import FILM_HEADS, HEADS, LOCAL, POOLED
from benchmarks.evidence.figures import number, spread, table
from mtmed.evaluation.gap import SMALLEST
from mtmed.evaluation.glossary import term, words

ROUND = ".round-"
TRAFFIC = {"sent": "MB sent", "received": "MB received"}  # by a site in a round


def arms_table(rows: pd.DataFrame) -> str:
    """Mean and deviation over runs of each head, its worst site, the share of the gap closed, and bytes."""
    return table([_arm(rows, arm) for arm in dict.fromkeys(rows["arm"])])


def rounds_table(rows: pd.DataFrame) -> str:
    """Each arm's means after some rounds and after the last; a row for each head."""
    arms = dict.fromkeys(rows.loc[_during(rows), "arm"])
    out = []
    for arm in arms:
        for head, metric in _heads(rows).items():
            means = {f"{n} rounds": by_seed(rows, arm, head, f"{metric}{ROUND}{n}") for n in rounds_shown(rows)}
            means["all"] = by_seed(rows, arm, head, metric)
            out.append({"arm": arm, "head": words(head)} | {at: spread(v) for at, v in means.items() if len(v)})
    return table(out)


def rounds_shown(rows: pd.DataFrame) -> list[int]:
    """The rounds after which something was measured, beside the last."""
    return sorted({int(metric.rpartition("-")[2]) for metric in rows.loc[_during(rows), "metric"]})


def _during(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["metric"].str.contains(ROUND, regex=False)


def _arm(rows: pd.DataFrame, arm: str) -> dict[str, str]:
    cells = {"arm": arm, "runs": str(rows.loc[rows["arm"] == arm, "seed"].nunique())}
    for head, metric in _heads(rows).items():
        name = f"{words(head)}, {term(metric).label}"
        own, worst = by_seed(rows, arm, head, metric), by_seed(rows, arm, head, f"{metric}.worst")
        cells[name] = spread(own) if len(own) else "-"
        cells[f"{name}, worst site"] = number(float(worst.mean())) if len(worst) else "-"
        cells[f"{name}, gap closed"] = _share(rows, arm, head, metric)
    for way, label in TRAFFIC.items():
        sent = by_seed(rows, arm, "bytes", way)
        cells[label] = number(float(sent.mean()) / 1e6) if len(sent) else "-"
    return cells


def _heads(rows: pd.DataFrame) -> dict[str, str]:
    """The heads of the cell, with the metric of each."""
    found = set(rows["head"])
    return {head: metric for head, metric in {**HEADS, **FILM_HEADS}.items() if head in found}


def _share(rows: pd.DataFrame, arm: str, head: str, metric: str) -> str:
    """The share of the gap, as a ratio of means."""
    way = None if arm in (LOCAL, POOLED) else gap(rows, arm, head, metric)
    return "-" if way is None else number(float(way[0].mean() / way[1].mean()))


def gap(rows: pd.DataFrame, arm: str, head: str, metric: str) -> "tuple[pd.Series[float], pd.Series[float]] | None":
    """How far the arm goes from sites alone, and how far pooled data are, over the runs that all three have; None where
    that is nowhere.
    """
    by_arm = {name: by_seed(rows, name, head, metric) for name in (LOCAL, arm, POOLED)}
    paired = pd.concat(by_arm, axis=1, join="inner")
    whole = paired[POOLED] - paired[LOCAL]
    return (paired[arm] - paired[LOCAL], whole) if len(paired) and whole.mean() >= SMALLEST else None


def by_seed(rows: pd.DataFrame, arm: str, head: str, metric: str) -> "pd.Series[float]":
    """One metric of an arm."""
    wanted = (rows["arm"] == arm) & (rows["head"] == head) & (rows["metric"] == metric)
    return rows[wanted].set_index("seed")["value"]
