"""Federated averaging per head: a site counts in a head by its labelled examples of that head."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtmed.aggregation import _base
from mtmed.types import SiteUpdate


@dataclass(frozen=True)
class Strategy(_base.Strategy):
    """The mandatory baseline of partial labels: a head without labels anywhere stays as it was."""

    def weights(self, sites: Sequence[SiteUpdate], name: str) -> list[_base.Weight]:
        """The number of labelled examples that reach the parameter."""
        return [_base.reach(update, name) for update in sites]
