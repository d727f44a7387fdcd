"""No federation: every site trains alone for as many rounds. The floor that sharing has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mtmed.aggregation import _base
from mtmed.types import SiteUpdate


@dataclass(frozen=True)
class Strategy(_base.Strategy):
    """Nobody pulls: the global model stays untrained, and only its round is counted."""

    shares: ClassVar[bool] = False

    def weights(self, sites: Sequence[SiteUpdate], name: str) -> list[_base.Weight]:  # noqa: ARG002
        """Nothing."""
        return [0.0 for _ in sites]
