"""What the runs of an experiment gave: metrics by arm, facts of the arms, and the settings that were tried."""

import pandas as pd

from benchmarks.evidence.figures import number, spread, table
from benchmarks.result_rows import FACTS
from benchmarks.tuning import SCORE, arms, scores, tried, values
from mtmed.evaluation.glossary import directed, term

UNITS = {
    "parameters": ("parameters, M", 1e6),
    "flops": ("GFLOP an image", 1e9),
    "images_per_s": ("images/s", 1),
    "seconds": ("seconds", 1),
    "memory_mb": ("memory, MB", 1),
    "steps": ("steps", 1),
    "learning_rate": ("learning rate, 1e-3", 1e-3),
}


def metrics_table(rows: pd.DataFrame) -> str:
    """Each metric [rows] of each arm [columns]: mean and standard deviation over runs, the best mean in bold."""
    rows = rows[(rows["head"] != FACTS) & ~rows["metric"].isin(set(UNITS))]
    order = list(dict.fromkeys(rows["arm"]))
    runs = rows.groupby("arm")["seed"].nunique()
    first = {"head": "runs", "metric": "-", **{arm: str(runs[arm]) for arm in order}}
    groups = rows.groupby(["head", "metric"], sort=False)
    return table([first, *(_metric(str(head), str(metric), part) for (head, metric), part in groups)])


def _metric(head: str, metric: str, part: pd.DataFrame) -> dict[str, str]:
    found = {str(arm): own["value"] for arm, own in part.groupby("arm", sort=False)}
    sign = 1 if term(metric).higher_is_better else -1
    best = max(found, key=lambda arm: sign * found[arm].mean()) if len(found) > 1 else ""
    cells = {arm: f"**{spread(own)}**" if arm == best else spread(own) for arm, own in found.items()}
    return {"head": head, "metric": directed(metric), **cells}


def facts_table(rows: pd.DataFrame) -> str:
    """The median over runs of what is known of each arm, or of each of its models."""
    rows = rows[(rows["head"] == FACTS) | rows["metric"].isin(set(UNITS))]
    named = [arm if head == FACTS else f"{arm}, {head}" for arm, head in zip(rows["arm"], rows["head"], strict=True)]
    known = [fact for fact in UNITS if fact in set(rows["metric"])]
    known += sorted(set(rows["metric"]) - set(known))
    medians = rows.assign(name=named).groupby(["name", "metric"], sort=False)["value"].median()
    found = {str(name): own.droplevel("name") for name, own in medians.groupby(level="name", sort=False)}
    return table([{"arm": name} | _facts(own, known) for name, own in found.items()])


def _facts(medians: "pd.Series[float]", known: list[str]) -> dict[str, str]:
    labels = {fact: UNITS.get(fact, (fact, 1)) for fact in known}
    return {label: number(medians[fact] / unit) if fact in medians else "-" for fact, (label, unit) in labels.items()}


def tuning_table(rows: pd.DataFrame) -> str:
    """Every setting that was tried: means over seeds of the primary metrics, the score, and the arm's best in bold."""
    return table([row for arm in arms(rows) for row in _settings(rows, arm)])


def _settings(rows: pd.DataFrame, arm: str) -> list[dict[str, str]]:
    found, means, seeds = scores(rows, arm), values(rows, arm), tried(rows, arm)
    keys = [(str(key[0]), str(key[1])) for key in means.columns]
    best = found.idxmax() if len(found) else pd.Series(dtype=str)

    def cell(value: float, by: str, setting: str) -> str:
        return f"**{number(value)}**" if best.get(by) == setting else number(value)

    return [
        {"arm": arm, "setting": setting, "runs": str(len(seeds[setting]))}
        | {f"{h}, {term(m).label}": cell(means[h, m][setting], h, setting) for h, m in keys}
        | {SCORE: cell(found[SCORE][setting], SCORE, setting) if setting in found.index else "-"}
        for setting in seeds
    ]
