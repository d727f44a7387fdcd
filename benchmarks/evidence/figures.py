"""How numbers and tables look in the docs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def number(value: float, signed: bool = False) -> str:
    """`0.6` -> `.600`, `-0.0123` -> `-.012`, `2.9` -> `2.90`, `123.4` -> `123`; `signed` shows a plus; NaN -> `-`."""
    if np.isnan(value):
        return "-"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 100 else 0
    text = f"{abs(value):,.{digits}f}"
    zero = not text.strip("0.,")
    sign = "" if zero else "-" if value < 0 else "+" if signed else ""
    return sign + (text[1:] if text.startswith("0.") else text)


def chance(p: float | None) -> str:
    """A p-value; `-` where there is none."""
    return "-" if p is None else "<.001" if p < 0.0005 else number(p)


def spread(values: "Sequence[float] | pd.Series[float]") -> str:
    """`.600 ± .021`: mean and standard deviation over runs; of a single run its value."""
    mean = number(float(np.mean(values)))
    return mean if len(values) < 2 else f"{mean} ± {number(float(np.std(values, ddof=1)))}"


def table(rows: Sequence[dict[str, str]]) -> str:
    """Markdown; columns in the order in which they first come, `-` where a row has none."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, ["---"] * len(columns), *([row.get(column, "-") for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""
