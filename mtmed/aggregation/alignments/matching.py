"""Units by their distance in units of what is known of them: PFNM's cost (Yurochkin et al. 2019) at a fixed width, with
a precision for every weight in place of one number for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmed.aggregation.alignments import _base
from mtmed.aggregation.alignments._base import reach
from mtmed.options import expect
from mtmed.types import GlobalModel, SiteUpdate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Alignment(_base.Matched):
    """What no label of the reference reaches costs nothing anywhere.

    Attributes:
        matching_power: of the precisions; below 1, those of which sites are very sure decide less.
    """

    needs_precision = True
    matching_power: float = 1.0

    def __post_init__(self) -> None:
        expect("matching_power", self.matching_power)

    def sureness(self, update: SiteUpdate, names: Sequence[str]) -> dict[str, Tensor]:
        return {n: self._tempered(update.precision[n]) for n in names if n in update.precision and reach(update, n)}

    def prior(self, model: GlobalModel, sites: Sequence[SiteUpdate], names: Sequence[str]) -> dict[str, Tensor]:
        """The model's precision; where it has none, a number for each parameter: sums over sites whose units are in
        different places would say nothing of a unit."""
        import torch

        sent = [self.sureness(update, names) for update in sites]
        mean = {n: sum((p[n].mean() for p in sent if n in p), torch.zeros(())) for n in names}
        return mean | {name: self._tempered(model.precision[name]) for name in names if name in model.precision}

    def _tempered(self, precision: Tensor) -> Tensor:
        return precision.float().pow(self.matching_power) * (precision > 0)
