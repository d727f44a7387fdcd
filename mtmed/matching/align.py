"""Several networks' units to each other's: sites in turn, each to what the others are together.

Of PFNM (Yurochkin et al. 2019) this has the order of work, and the sums: what all but one site say of a unit are a sum
of precisions and one of means times precisions, however many sites there are. The width is fixed; units that no other
site has (its Beta-Bernoulli process) would let it grow, and are not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mtmed.matching.cost import Reference
from mtmed.matching.descent import after, matched
from mtmed.matching.group import Group, moves, permuted

PASSES = 10  # visits to each site; nothing moves after a few


@dataclass(frozen=True)
class Said:
    """What a site, or the global model, says: `mean`, and how sure it is.

    Attributes:
        precision: by parameter, of its shape or a single number; absent is 0.
    """

    mean: Mapping[str, Tensor]
    precision: Mapping[str, Tensor]


def align(groups: Sequence[Group], sites: Sequence[Said], model: Said | None = None) -> list[dict[str, list[Tensor]]]:
    """The orders of each site's units; without a `model` whose places they take, the first site's stay."""
    names = sorted({member.parameter for group in groups for part in group.parts for member in part.members})
    sums = _Sums(names)
    stay = {group.name: group.identity() for group in groups}
    orders = [dict(stay) for _ in sites]
    sums.add(sites[0] if model is None else model, 1)
    first = 1 if model is None else 0
    for visit in range(PASSES):
        still = True
        for k in range(first, len(sites)):
            here = _said(groups, sites[k], orders[k], names)
            if visit:
                sums.add(here, -1)
            step = matched(groups, here.mean, sums.reference(), again=visit > 0)
            if moves(step):
                still, orders[k] = False, after(orders[k], step)
                here = _said(groups, sites[k], orders[k], names)
            sums.add(here, 1)
        if still or len(sites) == 1:
            break
    return orders


def _said(groups: Sequence[Group], site: Said, orders: Mapping[str, Sequence[Tensor]], names: Sequence[str]) -> Said:
    """What a site says, in that order; a precision of a single number has none."""
    mean = {name: site.mean[name] for name in names}
    shaped = {name: p for name in names if (p := site.precision.get(name)) is not None and p.ndim}
    precision = {name: site.precision[name] for name in names if name in site.precision}
    return Said(permuted(mean, groups, orders), precision | permuted(shaped, groups, orders))


class _Sums:
    """Of precisions, and of means times precisions."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._precision: dict[str, Tensor] = {}
        self._pulled: dict[str, Tensor] = {}

    def add(self, said: Said, times: int) -> None:
        """With -1 what was added before is taken away."""
        for name in self._names:
            mean = said.mean[name].double()
            precision = said.precision.get(name, torch.zeros(())).double().expand(mean.shape) * times
            known = name in self._precision
            self._precision[name] = self._precision[name] + precision if known else precision
            self._pulled[name] = self._pulled[name] + precision * mean if known else precision * mean

    def reference(self) -> Reference:
        """0 where nobody is sure of anything."""
        precision = {name: value.clamp(min=0) for name, value in self._precision.items()}
        mean = {n: (self._pulled[n] / p).where(p > 0, 0.0) for n, p in precision.items()}
        return Reference(mean, precision)
