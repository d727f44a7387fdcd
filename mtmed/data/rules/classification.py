"""Classes in a table: a column of words."""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from pydantic import Field

from mtmed.data.conditions import matches
from mtmed.data.raw import Labels
from mtmed.data.rules._base import Locate, mapped
from mtmed.data.rules._base import Rule as Base
from mtmed.data.table import Row
from mtmed.types import HeadSpec

COLUMN = "label"
WORDS = {  # positive and negative ones, by the head's name
    "pneumonia": (["covid", "pneumonia_other", "pneumonia"], ["normal"]),
    "malignancy": (["malignant"], ["normal", "benign"]),
}


class Rule(Base):
    """A column of words: which are positive for which class, and which are negative for all of them."""

    column: str
    positive: dict[str, list[Any]]
    negative: list[Any] = Field(default_factory=list)

    def columns(self) -> set[str]:
        """The one column."""
        return {self.column}

    def named(self) -> Iterable[str]:
        """The classes that have positive words."""
        return self.positive

    def labels(self, row: Row, spec: HeadSpec, locate: Locate) -> Labels | None:  # noqa: ARG002
        """Labelled where the word is one of those listed."""
        cell = row.get(self.column, "")
        positive = np.array([matches(cell, self.positive.get(name, [])) for name in spec.classes])
        if not positive.any() and not matches(cell, self.negative):
            return None
        return Labels(mapped(spec, self.positive), values=positive.astype(np.float32))


def default(spec: HeadSpec, columns: Collection[str]) -> Rule | None:
    """The usual words of a head of this name and one class, in the column `label`; of several nobody knows which."""
    if spec.name not in WORDS or COLUMN not in columns or len(spec.classes) > 1:
        return None
    positive, negative = WORDS[spec.name]
    return Rule(column=COLUMN, positive={spec.classes[0]: positive}, negative=negative)
