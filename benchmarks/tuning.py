"""Which setting of an arm is used: the best of those tried on validation seeds, by the same rule for every arm.

A tuning experiment (`phantom-tuning`, `real-tuning`) has arms with their setting, `multitask@rate=0.001`.

    chosen("real-tuning", "multitask")                      # {"rate": "0.001"}
    chosen("real-tuning", "single", by="pneumonia")         # of one head, for arms with a network per head

The score is the mean over heads of what each kind of head is summarised by (`PRIMARY`: Dice, mAP50, AUROC). An error
has a unit, so it counts as the smallest error that the arm reached at the same seed, divided by it. What a run lacks,
as when its training diverged, counts as 0. Settings that were not tried at all seeds of the arm's tuning do not
compete: they were given up after the first seeds.
"""

from functools import cache
from pathlib import Path

import pandas as pd

from benchmarks.result_rows import FOLDER, read
from mtmed.errors import UserError, unknown
from mtmed.evaluation.glossary import term
from mtmed.registry import find, names

SCORE = "score"


def chosen(experiment: str, arm: str, by: str = SCORE, folder: Path = FOLDER) -> dict[str, str]:
    """The setting with the best score, or with the best value of the head `by`; the first written of equals.

    Raises:
        UserError: the arm was not tuned, no setting was tried at all seeds, or no head is called `by`.
    """
    found = scores(read(experiment, folder), arm)
    if found.empty:
        raise UserError(
            f"{experiment}: no tuning of {arm}; expected arms such as {arm}@rate=0.001, all at the same seeds"
        )
    if by not in found:
        raise unknown("head", by, found.columns)
    best = str(found[by].idxmax())
    return dict(part.split("=", 1) for part in best.split(","))


def scores(rows: pd.DataFrame, arm: str) -> pd.DataFrame:
    """An arm's tuning: a row for each setting that competes, a column for each head, and `score`; more is better."""
    seeds = tried(rows, arm)
    everywhere = frozenset().union(*seeds.values())
    table = _by_seed(rows, arm).loc[[setting for setting, found in seeds.items() if found == everywhere]]
    errors = [key for key in table.columns if not term(key[1]).higher_is_better]
    table[errors] = table[errors].min() / table[errors]
    heads = table.fillna(0.0).T.groupby(level="head").mean().T
    return heads.assign(**{SCORE: heads.mean(axis=1)})


def values(rows: pd.DataFrame, arm: str) -> pd.DataFrame:
    """The mean over seeds behind the scores: a row for each setting, a column for each (head, metric)."""
    return _by_seed(rows, arm).T.groupby(level=["head", "metric"]).mean().T


def tried(rows: pd.DataFrame, arm: str) -> dict[str, frozenset[str]]:
    """The seeds at which each setting of an arm was tried, in the order of the rows."""
    seeds = _own(rows, arm).groupby("setting", sort=False)["seed"]
    return {str(setting): frozenset(found) for setting, found in seeds}


def arms(rows: pd.DataFrame) -> list[str]:
    """The arms that were tuned, in the order of their rows."""
    return list(dict.fromkeys(arm.split("@")[0] for arm in rows["arm"] if "@" in arm))


@cache
def primary() -> frozenset[str]:
    """The metrics that kinds of heads are summarised by."""
    kinds = (find("mtmed.heads", kind, "head kind") for kind in names("mtmed.heads"))
    return frozenset(kind.PRIMARY for kind in kinds)


def _by_seed(rows: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Values of primary metrics, settings [rows] by (head, metric, seed) [columns], in the order of the rows."""
    own = _own(rows, arm)
    wanted = own[own["metric"].isin(primary())]
    table = wanted.pivot(index="setting", columns=["head", "metric", "seed"], values="value")
    return table.reindex(own["setting"].unique())


def _own(rows: pd.DataFrame, arm: str) -> pd.DataFrame:
    own = rows[rows["arm"].str.startswith(f"{arm}@")]
    return own.assign(setting=[name.split("@")[1] for name in own["arm"]])
