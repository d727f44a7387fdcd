"""What corrections of local training have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:  # options are checked in stages that need no torch
    from torch import Tensor

    from mtmed.models.multitask import MultiTask
    from mtmed.types import GlobalModel, SiteUpdate


@dataclass(frozen=True)
class Others:
    """What a site knows of the last round of the others.

    Attributes:
        precision: the sum of their precisions, by name; absent names are zero.
        drift: the mean gradient of all sites less the site's own, by name.
    """

    precision: Mapping[str, Tensor] = field(default_factory=dict)
    drift: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Reference:
    """What a site knows when a round starts.

    Attributes:
        mean: the global model's values, by name.
        examples: the site's own training images.
    """

    mean: Mapping[str, Tensor]
    examples: int = 1
    others: Others = field(default_factory=Others)


class Hook:
    """Called when the gradients of a step are there, before they are clipped; this one does nothing."""

    def __call__(self) -> None:
        """Add the term; parameters without a gradient stay without one."""

    def gradient(self) -> dict[str, Tensor]:
        """The mean gradient of the steps, by name, if the others shall know it."""
        return {}


class Held(Hook):
    """sum_i weight_i (theta_i - start_i)^2 / 2 is added to the loss."""

    def __init__(self, held: Sequence[tuple[Tensor, Tensor | float, Tensor]]) -> None:
        """`held`: parameters, weights, starts."""
        self.held = [(p, _beside(p, weight), start.to(p.device)) for p, weight, start in held]

    def __call__(self) -> None:
        for parameter, weight, start in self.held:
            if parameter.grad is not None:
                parameter.grad.addcmul_(weight, parameter.detach() - start)


class Correction(ABC):
    """A term of the gradient."""

    needs_precision: ClassVar[bool] = False
    needs_gradient: ClassVar[bool] = False

    @abstractmethod
    def hook(self, model: MultiTask, reference: Reference) -> Hook:
        """Adds the term to the gradients of `model`."""


def others(model: GlobalModel, own: SiteUpdate | None) -> Others:
    """What the global model says of the others to a site that sent `own` in the last round, or nothing that counted."""
    if own is None:
        return Others(dict(model.precision))
    precision = {n: _without(total, own.precision.get(n)) for n, total in model.precision.items()}
    drift = {n: value.float() - own.gradient[n].float() for n, value in model.gradient.items() if n in own.gradient}
    return Others(precision, drift)


def _without(total: Tensor, own: Tensor | None) -> Tensor:
    return total if own is None else (total - own.float()).clamp(min=0)


def _beside(parameter: Tensor, weight: Tensor | float) -> Tensor:
    import torch

    return torch.as_tensor(weight, dtype=parameter.dtype, device=parameter.device)
