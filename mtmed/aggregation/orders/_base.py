"""What orders have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

Chains = list[list[str]]


class Order(ABC):
    """Which sites train side by side, and which in turn."""

    @abstractmethod
    def chains(self, sites: Sequence[str], round: int, rounds: int) -> Chains:
        """Every site once. Chains train side by side; in a chain, each site starts from what the one before it left."""
