"""The global model goes where the merge says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmed.aggregation.servers import _base

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Server(_base.Server):
    """No memory."""

    def step(self, move: Tensor, state: Mapping[str, Tensor], diversity: float) -> tuple[Tensor, dict[str, Tensor]]:
        return move, {}
