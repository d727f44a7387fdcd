"""FedExP (Jhunjhunwala et al. 2023): where the sites go different ways, their mean is too short, and is prolonged.

Sites that each know something else (another modality, another head) hardly agree in their moves, and the mean of K such
moves takes only a K-th of each. The published step is taken for the encoder and for each head on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mtmed.aggregation.servers import _base
from mtmed.options import expect

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Server(_base.Server):
    """max(1, reach diversity) times the move, and at most `limit` times.

    Attributes:
        reach: of what would make the sum of moves of all of them; one half as published.
        limit: moves of one lucky round are not prolonged more than this.
    """

    reach: float = 0.5
    limit: float = 5.0
    needs_diversity: ClassVar[bool] = True

    def __post_init__(self) -> None:
        expect("reach", self.reach)
        expect("limit", self.limit, low=1)

    def step(self, move: Tensor, state: Mapping[str, Tensor], diversity: float) -> tuple[Tensor, dict[str, Tensor]]:
        return min(self.limit, max(1.0, self.reach * diversity)) * move, {}
