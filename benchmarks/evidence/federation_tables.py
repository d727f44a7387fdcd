"""What strategies gave: a row for each, and how they went on from round to round."""

import pandas as pd

from benchmarks.evidence.claimed_federation import HEADS, LOCAL, POOLED
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
    found = rows[rows["metric"].str.contains(ROUND, regex=False)]
    rounds = sorted({int(metric.rpartition("-")[2]) for metric in found["metric"]})
    out = []
    for arm in dict.fromkeys(found["arm"]):
        for head, metric in HEADS.items():
            means = {f"{n} rounds": _values(rows, arm, head, f"{metric}{ROUND}{n}") for n in rounds}
            means["all"] = _values(rows, arm, head, metric)
            out.append({"arm": arm, "head": words(head)} | {at: spread(v) for at, v in means.items() if len(v)})
    return table(out)


def _arm(rows: pd.DataFrame, arm: str) -> dict[str, str]:
    cells = {"arm": arm, "runs": str(rows.loc[rows["arm"] == arm, "seed"].nunique())}
    for head, metric in HEADS.items():
        name = f"{words(head)}, {term(metric).label}"
        own, worst = _values(rows, arm, head, metric), _values(rows, arm, head, f"{metric}.worst")
        cells[name] = spread(own) if len(own) else "-"
        cells[f"{name}, worst site"] = number(float(worst.mean())) if len(worst) else "-"
        cells[f"{name}, gap closed"] = _share(rows, arm, head, metric)
    for way, label in TRAFFIC.items():
        sent = _values(rows, arm, "bytes", way)
        cells[label] = number(float(sent.mean()) / 1e6) if len(sent) else "-"
    return cells


def _share(rows: pd.DataFrame, arm: str, head: str, metric: str) -> str:
    """Of the way from sites alone to pooled data, as a ratio of means over the runs that all three have."""
    by_arm = {name: _values(rows, name, head, metric) for name in (LOCAL, arm, POOLED)}
    paired = pd.concat(by_arm, axis=1, join="inner").mean() if all(len(v) for v in by_arm.values()) else None
    if paired is None or arm in (LOCAL, POOLED) or paired[POOLED] - paired[LOCAL] < SMALLEST:
        return "-"
    return number(float((paired[arm] - paired[LOCAL]) / (paired[POOLED] - paired[LOCAL])))


def _values(rows: pd.DataFrame, arm: str, head: str, metric: str) -> "pd.Series[float]":
    """By seed."""
    wanted = (rows["arm"] == arm) & (rows["head"] == head) & (rows["metric"] == metric)
    return rows[wanted].set_index("seed")["value"]
