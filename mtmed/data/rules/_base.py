"""What the rules of every kind of head have in common."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from mtmed.data.raw import Labels
from mtmed.data.table import Row
from mtmed.types import Array, HeadSpec

Locate = Callable[[str], Path]


class Rule(BaseModel):
    """How one head reads a row; a key that has the name of a method is a field with _ at its end."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: name.rstrip("_"))

    @abstractmethod
    def columns(self) -> set[str]:
        """The columns that this rule reads."""

    @abstractmethod
    def named(self) -> Iterable[str]:
        """The classes that this rule names; each must be the head's."""

    @abstractmethod
    def labels(self, row: Row, spec: HeadSpec, locate: Locate) -> Labels | None:
        """The head's target in `row`, or None where it is not labelled; `locate` finds a file named in it.

        Raises:
            BadStudy: a cell that cannot be understood.
        """


def mapped(spec: HeadSpec, by_class: Mapping[str, Any]) -> Array:
    """[K] bool: the classes that a rule speaks of; without any named, the first."""
    return np.array([name in by_class if by_class else k == 0 for k, name in enumerate(spec.classes)])
