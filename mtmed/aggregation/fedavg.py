"""Federated averaging (McMahan et al. 2017): sites weighted by their number of training examples."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtmed.aggregation import _base
from mtmed.types import SiteUpdate


@dataclass(frozen=True)
class Strategy(_base.Strategy):
    """Every parameter of every site counts, labelled or not: a site without masks dilutes the mask decoder."""

    def weights(self, sites: Sequence[SiteUpdate], name: str) -> list[_base.Weight]:  # noqa: ARG002
        """The number of training examples, whatever the parameter."""
        return [float(update.examples) for update in sites]
