"""What ways to keep parameters have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtmed.models.multitask import MultiTask


class Personal(ABC):
    """Which parameters a site takes from its own last update, in training and in its evaluation.

    They are merged all the same: for sites that come later, and for whoever is given the model.
    """

    @abstractmethod
    def names(self, model: MultiTask) -> set[str]:
        """Of the parameters and buffers that a site keeps."""
