"""Measurements in a table: a column of numbers per class."""

from collections.abc import Collection, Iterable

import numpy as np
from pydantic import Field, FiniteFloat

from mtmed.data.conditions import Condition, holds
from mtmed.data.quality import BadStudy
from mtmed.data.raw import Labels
from mtmed.data.rules._base import Locate
from mtmed.data.rules._base import Rule as Base
from mtmed.data.table import Row
from mtmed.types import HeadSpec


class Rule(Base):
    """`columns` says which column holds the numbers of which class; they are taken in its unit, as they are.

    A number outside of `range` is a fault of its row: many tables write -1 or 9999999 where nothing was measured.
    """

    columns_: dict[str, str] = Field(min_length=1)
    where: Condition = Field(default_factory=dict)
    range: tuple[FiniteFloat, FiniteFloat] = (0.0, 1e6)

    def columns(self) -> set[str]:
        """The columns of the classes, and the condition's."""
        return {*self.columns_.values(), *self.where}

    def named(self) -> Iterable[str]:
        """The classes that have a column."""
        return self.columns_

    def labels(self, row: Row, spec: HeadSpec, locate: Locate) -> Labels | None:  # noqa: ARG002
        """A class is labelled where its cell is not empty and `where` holds; 0 is a measurement."""
        cells = [row.get(self.columns_.get(name, ""), "") for name in spec.classes]
        if not any(cells) or not holds(self.where, row):
            return None
        values = [self._number(cell) if cell else 0.0 for cell in cells]
        return Labels(np.array([bool(cell) for cell in cells]), values=np.array(values, np.float32))

    def _number(self, cell: str) -> float:
        low, high = self.range
        try:
            value = float(cell)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            got = "one outside" if np.isfinite(value) else "something else"  # not quoted: reasons leave in reports
            raise BadStudy(f"measurement not understood: expected a number in {low:.9g} to {high:.9g}, got {got}")
        return value


def default(spec: HeadSpec, columns: Collection[str]) -> Rule | None:
    """The columns that are named like classes of the head."""
    own = {name: name for name in spec.classes if name in columns}
    return Rule(columns=own) if own else None
