"""Sites in turn: what one has learnt is where the next begins (Chang et al. 2018, cyclical weight transfer).

Where sites have different tasks, their moves from a common model are at right angles to each other, and their mean
keeps a part of each; in turn, nothing is divided. Chains side by side that are merged at the end of a round are those
of Zaccone et al. (2022); that sites in turn converge faster where data differ is shown by Li and Lyu (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from mtmed.aggregation.orders import _base
from mtmed.errors import UserError
from mtmed.options import expect


@dataclass(frozen=True)
class Order(_base.Order):
    """Another site begins in each round.

    Attributes:
        chain: how many sites train in turn; 0: all of them.
        relayed: the share of the rounds, from the first, in which they do. In those that are left all train side by
            side, so that no site has the last word; that cost masks and boxes (docs/decisions/0028).
    """

    chain: float = 0
    relayed: float = 1.0

    def __post_init__(self) -> None:
        expect("chain", self.chain)
        expect("relayed", self.relayed)
        if self.chain != int(self.chain):
            raise UserError(f"chain: expected a whole number of sites, got {self.chain}")

    def chains(self, sites: Sequence[str], round: int, rounds: int) -> _base.Chains:
        ordered = sorted(sites)
        if round >= self.relayed * rounds:
            return [[site] for site in ordered]
        length = int(self.chain) or len(ordered)
        first = round % len(ordered)
        turned = ordered[first:] + ordered[:first]
        count = ceil(len(turned) / length)
        return [turned[n::count] for n in range(count)]
