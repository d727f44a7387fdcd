"""What the runs of an experiment gave: metrics by arm, facts of the arms, and the settings that were tried."""

import pandas as pd

from benchmarks.evidence.figures import number, spread, table
from benchmarks.result_rows import FACTS
from benchmarks.tuning import SCORE, arms, scores, values
from mtmed.errors import UserError
from mtmed.evaluation.glossary import directed, term

UNITS = {
    "parameters": ("parameters, M", 1e6),
    "flops": ("GFLOPs", 1e9),
    "images_per_s": ("images/s", 1),
    "seconds": ("seconds", 1),
    "memory_mb": ("memory, MB", 1),
    "steps": ("steps", 1),
}


def metrics_table(rows: pd.DataFrame) -> str:
    """Each metric [rows] of each arm [columns]: mean and standard deviation over runs, the best mean in bold."""
    rows = rows[rows["head"] != FACTS]
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
    """The median over runs of what is known of each arm."""
    rows = rows[rows["head"] == FACTS]
    medians = rows.groupby(["arm", "metric"], sort=False)["value"].median()
    found = {str(arm): own.droplevel("arm") for arm, own in medians.groupby(level="arm", sort=False)}
    return table([{"arm": arm} | _facts(own) for arm, own in found.items()])


def _facts(medians: "pd.Series[float]") -> dict[str, str]:
    facts = [*UNITS, *sorted(set(medians.index) - UNITS.keys())]
    named = {fact: UNITS.get(fact, (fact, 1)) for fact in facts}
    return {label: number(medians[fact] / unit) if fact in medians else "-" for fact, (label, unit) in named.items()}


def tuning_table(rows: pd.DataFrame) -> str:
    """Every setting that was tried: means over seeds of the primary metrics, and the score; the chosen one in bold."""
    return table([row for arm in arms(rows) for row in _settings(rows, arm)])


def _settings(rows: pd.DataFrame, arm: str) -> list[dict[str, str]]:
    try:
        found, means = scores(rows, arm)[SCORE], values(rows, arm)
    except UserError:
        return [{"arm": arm, "setting": "not finished"}]
    seeds = rows[rows["arm"].str.startswith(f"{arm}@")]["seed"].nunique()
    labels = {key: f"{key[0]}, {term(key[1]).label}" for key in means.columns}
    best = str(found.idxmax())
    return [
        {"arm": arm, "setting": f"**{setting}**" if setting == best else setting}
        | {label: number(means[key][setting]) for key, label in labels.items()}
        | {"score": number(found[setting]), "runs": str(seeds)}
        for setting in map(str, found.index)
    ]
