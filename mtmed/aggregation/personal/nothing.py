"""All sites have the same model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmed.aggregation.personal import _base

if TYPE_CHECKING:
    from mtmed.models.multitask import MultiTask


@dataclass(frozen=True)
class Personal(_base.Personal):
    """Nothing is kept."""

    def names(self, model: MultiTask) -> set[str]:  # noqa: ARG002
        return set()
