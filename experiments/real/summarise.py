"""The five folds as one table: every patient is tested once, by a model that never saw them.

    python -m experiments.real.summarise experiments/real-fold-*

Values are means over folds, weighted by the images that each fold tests; `low` and `high` are the extremes of
the folds.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

PRIMARY = ("dice", "map50", "recall_1fp", "auroc")
GROUP = ["head", "metric", "site", "model"]


def table(folders: list[Path]) -> pd.DataFrame:
    """Rows (head, metric, site, model) with mean, low, high, images; site `all` is over all sites' images."""
    folds = pd.concat([pd.read_csv(f / "reports/sites.csv").assign(fold=f.name) for f in folders])
    folds = folds[folds["metric"].isin(PRIMARY)]
    everywhere = folds.assign(site="all")
    return pd.concat([_mean(everywhere), _mean(folds)]).reset_index(drop=True)


def _mean(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.assign(weighted=rows["value"] * rows["images"])
    per_fold = rows.groupby([*GROUP, "fold"])[["weighted", "images"]].sum().reset_index()
    per_fold["value"] = per_fold["weighted"] / per_fold["images"]
    groups = per_fold.groupby(GROUP)
    out = groups.agg(low=("value", "min"), high=("value", "max"), images=("images", "sum"), folds=("fold", "size"))
    out["mean"] = groups["weighted"].sum() / out["images"]
    return out.reset_index()[[*GROUP, "mean", "low", "high", "images", "folds"]]


def main(folders: Annotated[list[Path], typer.Argument(help="working folders of the folds")]) -> None:
    """Print the table as Markdown."""
    print(table(sorted(folders)).round(3).to_markdown(index=False))


if __name__ == "__main__":
    typer.run(main)
