"""What strategies have in common: the interface, who reaches a tensor, and the averaging by counts."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from mtmed.errors import UserError
from mtmed.types import GlobalModel, SiteUpdate

if TYPE_CHECKING:  # options are checked in stages that need no torch
    from torch import Tensor

Weight: TypeAlias = "Tensor | float"
Shares = dict[str, dict[str, float]]


class Strategy(ABC):
    """A named way to aggregate: its options, and one method that says how hard each site pulls."""

    needs_precision: ClassVar[bool] = False
    shares: ClassVar[bool] = True  # False: every site goes on from its own model, and there is no global one

    @abstractmethod
    def weights(self, sites: Sequence[SiteUpdate], name: str) -> list[Weight]:
        """How hard each site pulls at the parameter `name`: not negative, of any scale, for all or by element."""

    def aggregate(self, model: GlobalModel, updates: Sequence[SiteUpdate]) -> GlobalModel:
        """The next global model: `merge` without the shares."""
        return self.merge(model, updates)[0]

    def merge(self, model: GlobalModel, updates: Sequence[SiteUpdate]) -> tuple[GlobalModel, Shares]:
        """m + sum_k W_k (theta_k - m) / sum_k W_k; m where all weights are zero. The order does not matter.

        Returns:
            The next global model, and {head or "encoder": {site: share}}: the mean share of the pull over the
            part's parameters; a part at which nobody pulls is absent.
        """
        sites = ordered(model, updates)
        mean: dict[str, Tensor] = {}
        shares: dict[str, list[list[float]]] = {}
        for name, value in model.mean.items():
            weights = self.weights(sites, name)
            mean[name] = _pull(value, sites, name, weights)
            pulls = [w if isinstance(w, float) else float(w.mean()) for w in weights]
            if sum(pulls) > 0:
                shares.setdefault(_part(name), []).append([p / sum(pulls) for p in pulls])
        merged = GlobalModel(model.round + 1, mean, _total_precision(sites), model.lineage)
        return merged, {part: _by_site(sites, rows) for part, rows in shares.items()}


def _by_site(sites: Sequence[SiteUpdate], rows: list[list[float]]) -> dict[str, float]:
    """{site: mean of its column}."""
    return {u.site: fmean(column) for u, column in zip(sites, zip(*rows, strict=True), strict=True)}


def ordered(model: GlobalModel, updates: Iterable[SiteUpdate]) -> list[SiteUpdate]:
    """Updates by site name, so that sums are bit-equal in any order of arrival.

    Raises:
        UserError: an update of another round or network, or one that is not finite.
    """
    out = sorted(updates, key=lambda u: u.site)
    if not out:
        raise UserError(f"round {model.round} has no updates: expected at least one site's")
    for update, before in zip(out, [None, *out[:-1]], strict=True):
        if before is not None and before.site == update.site:
            raise UserError(f"site {update.site!r} sent two updates in round {model.round}: expected one")
        _check(model, update, f"the update of site {update.site!r}")
    return out


def _check(model: GlobalModel, update: SiteUpdate, who: str) -> None:
    if update.round != model.round:
        raise UserError(f"{who} is of round {update.round}: expected round {model.round}")
    if update.mean.keys() != model.mean.keys():
        odd = sorted(update.mean.keys() ^ model.mean.keys())[0]
        raise UserError(f"{who} is of another architecture: it differs in {odd!r}; update the site's params")
    if min(update.examples, *update.labelled.values()) < 0:
        raise UserError(f"{who} has a negative number of examples")
    for name, value in update.mean.items():
        _expect_shape(model, name, value, who)
        if not _finite(value):
            raise UserError(f"{who} is not finite in {name!r}: lower its learning rate or leave the site out")
    for name, value in update.precision.items():
        _expect_shape(model, name, value, f"the precision in {who}")
        if not _finite(value, lowest=0.0):
            raise UserError(f"{who} has a negative or infinite precision in {name!r}")


def _finite(value: Tensor, lowest: float = -math.inf) -> bool:
    """Whether no element is infinite, not a number, or below `lowest`; in one pass over many small tensors."""
    if not value.numel():
        return True
    low, high = (float(v) for v in value.aminmax())
    return low >= lowest and math.isfinite(low) and math.isfinite(high)


def _expect_shape(model: GlobalModel, name: str, value: Tensor, who: str) -> None:
    expected = tuple(model.mean[name].shape) if name in model.mean else None
    if tuple(value.shape) != expected:
        raise UserError(
            f"{who} is of another architecture: {name!r} has shape {tuple(value.shape)}, expected {expected}"
        )


def reach(update: SiteUpdate, name: str) -> float:
    """The number w_k of the site's labelled examples that reach a parameter.

    All of the site's examples for the shared encoder; those labelled for the head for a head's own parameters.
    """
    part = _part(name)
    return float(update.examples if part == "encoder" else update.labelled.get(part, 0))


def _part(name: str) -> str:
    parts = name.split(".", 2)
    return parts[1] if parts[0] == "heads" else "encoder"


def _pull(mean: Tensor, sites: Sequence[SiteUpdate], name: str, weights: Sequence[Weight]) -> Tensor:
    start = mean.double()  # in double precision, so that equal updates aggregate to themselves
    whole, pulled = start.new_zeros(start.shape), start.new_zeros(start.shape)
    for update, weight in zip(sites, weights, strict=True):
        whole += weight
        pulled += weight * (update.mean[name].double() - start)
    return (start + (pulled / whole).where(whole > 0, 0.0)).to(mean.dtype)


def _total_precision(sites: Sequence[SiteUpdate]) -> dict[str, Tensor]:
    """The sites' precisions summed.

    Replaced, not added to that of the round before: a site reads the same data again every round.
    """
    total: dict[str, Tensor] = {}
    for update in sites:
        for name, value in update.precision.items():
            total[name] = total[name] + value.float() if name in total else value.float()
    return total
