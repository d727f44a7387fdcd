"""All sites side by side, from the same model (McMahan et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mtmed.aggregation.orders import _base


@dataclass(frozen=True)
class Order(_base.Order):
    """Every site is a chain of its own."""

    def chains(self, sites: Sequence[str], round: int, rounds: int) -> _base.Chains:  # noqa: ARG002
        return [[site] for site in sorted(sites)]
