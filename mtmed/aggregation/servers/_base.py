"""What servers' optimisers have in common: the merged move is a gradient that they follow (Reddi et al. 2021)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


class Server(ABC):
    """One step of the global model."""

    needs_diversity: ClassVar[bool] = False

    @abstractmethod
    def step(self, move: Tensor, state: Mapping[str, Tensor], diversity: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The model's move, and what is to be remembered (in double), from the merged move and what was remembered.

        `state` is empty in the first round, and again where what was remembered is lost. `diversity` is the sites'
        mean squared move divided by the square of the merged one, over all parameters of the head or the encoder: 1
        if all go the same way, K if K sites each go a way of their own; 1 for servers that do not need it.
        """
