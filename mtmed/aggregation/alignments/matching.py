"""Units by their distance in units of what is known of them: PFNM's cost (Yurochkin et al. 2019) at a fixed width, with
a precision for every weight in place of one number for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmed.aggregation.alignments import _base
from mtmed.aggregation.alignments._base import reach
from mtmed.types import GlobalModel, SiteUpdate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Alignment(_base.Matched):
    """What no label of the reference reaches costs nothing anywhere."""

    needs_precision = True

    def sureness(self, update: SiteUpdate, names: Sequence[str]) -> dict[str, Tensor]:
        return {name: update.precision[name] for name in names if name in update.precision and reach(update, name)}

    def prior(self, model: GlobalModel, sites: Sequence[SiteUpdate], names: Sequence[str]) -> dict[str, Tensor]:
        """The model's precision; where it has none, a number for each parameter: sums over sites whose units are in
        different places would say nothing of a unit."""
        import torch

        sent = [self.sureness(update, names) for update in sites]
        mean = {n: sum((p[n].float().mean() for p in sent if n in p), torch.zeros(())) for n in names}
        return mean | {name: model.precision[name] for name in names if name in model.precision}
