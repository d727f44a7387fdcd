"""The tables of docs/results.md from the rows of benchmarks/confidence.py."""

from pathlib import Path

import pandas as pd


def tables(path: Path) -> str:
    """Markdown."""
    rows = pd.read_csv(path, dtype={"seed": str})
    return rows.groupby(["head", "arm", "metric"])["value"].mean().unstack().round(3).to_markdown()
