"""What corrections of local training have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:  # options are checked in stages that need no torch
    from torch import Tensor

    from mtmed.models.multitask import MultiTask

Hook = Callable[[], None]  # after a step's gradients are there, before they are clipped


@dataclass(frozen=True)
class Reference:
    """What a site knows of the others when a round starts.

    Attributes:
        mean: the global model's values, by name.
        others: the sum of the other sites' precisions, by name; absent names are zero.
        examples: the site's own training images.
    """

    mean: Mapping[str, Tensor]
    others: Mapping[str, Tensor] = field(default_factory=dict)
    examples: int = 1


class Correction(ABC):
    """A term of the gradient."""

    needs_precision: ClassVar[bool] = False

    @abstractmethod
    def hook(self, model: MultiTask, reference: Reference) -> Hook:
        """Adds the term to the gradients of `model`; parameters without a gradient stay without one."""
