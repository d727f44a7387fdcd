"""Conditions on the cells of a row, as params.yaml writes them."""

from collections.abc import Iterable
from typing import Any, Literal

from mtmed.data.table import Row

# {column: accepted values}, all of which must hold; "present" accepts any value that is not empty
Condition = dict[str, list[Any] | Literal["present"]]


def holds(condition: Condition, row: Row) -> bool:
    """Whether every column of `condition` has an accepted value; a column that is absent is empty."""
    return all(
        bool(row.get(column)) if wanted == "present" else matches(row.get(column, ""), wanted)
        for column, wanted in condition.items()
    )


def matches(cell: str, wanted: Iterable[Any]) -> bool:
    """Whether a cell is one of the wanted values, as text and in any case (YAML's true is CSV's True)."""
    return cell.casefold() in {str(value).casefold() for value in wanted}
