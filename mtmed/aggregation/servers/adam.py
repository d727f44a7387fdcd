"""FedAdam (Reddi et al. 2021, algorithm 2): the merged move is divided by its own usual size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmed.aggregation.servers import _base
from mtmed.options import expect

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Server(_base.Server):
    """As published: no correction of the first rounds' bias, and `adaptivity` in place of a tiny constant.

    Attributes:
        server_rate: of the normalised moves.
        momentum: beta 1, of the moves.
        spread: beta 2, of their squares.
        adaptivity: tau: moves that are usually smaller than this are not made larger.
    """

    server_rate: float = 0.01
    momentum: float = 0.9
    spread: float = 0.99
    adaptivity: float = 0.001

    def __post_init__(self) -> None:
        expect("momentum", self.momentum, high=1)
        expect("spread", self.spread, high=1)
        expect("server_rate", self.server_rate)
        expect("adaptivity", self.adaptivity, low=1e-12)

    def step(self, move: Tensor, state: Mapping[str, Tensor], diversity: float) -> tuple[Tensor, dict[str, Tensor]]:
        move = move.double()
        zero = move * 0
        first = self.momentum * state.get("first", zero) + (1 - self.momentum) * move
        start = zero + self.adaptivity**2
        second = self.spread * state.get("second", start) + (1 - self.spread) * move**2
        return self.server_rate * first / (second**0.5 + self.adaptivity), {"first": first, "second": second}
