"""FedAvgM (Hsu et al. 2019): the global model keeps a part of its last moves."""

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
    """v <- momentum v + move; the model moves by server_rate v.

    Attributes:
        momentum: of the last move.
        server_rate: 1 - momentum keeps the length of moves what it is without momentum.
    """

    momentum: float = 0.9
    server_rate: float = 0.3

    def __post_init__(self) -> None:
        expect("momentum", self.momentum, high=1)
        expect("server_rate", self.server_rate)

    def step(self, move: Tensor, state: Mapping[str, Tensor], diversity: float) -> tuple[Tensor, dict[str, Tensor]]:
        exact = move.double()
        velocity = exact if "velocity" not in state else self.momentum * state["velocity"] + exact
        return self.server_rate * velocity, {"velocity": velocity}
