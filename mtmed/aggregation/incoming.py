"""What is taken from a site, and in which order."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mtmed.errors import UserError
from mtmed.types import GlobalModel, SiteUpdate

if TYPE_CHECKING:  # options are checked in stages that need no torch
    from torch import Tensor


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
    if min([update.examples, *update.labelled.values()]) < 0:
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
