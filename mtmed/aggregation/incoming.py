"""The gate: which updates a round takes, in which order, and why it refuses the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from mtmed.aggregation.piece import part
from mtmed.errors import UserError
from mtmed.types import GlobalModel, SiteUpdate

if TYPE_CHECKING:  # options are checked in stages that need no torch
    from torch import Tensor

ENOUGH = 3  # sites that a median needs


@dataclass(frozen=True)
class Gate:
    """What is refused though it is well-formed.

    Attributes:
        move: a move longer than so many times the median of the sites' moves.
        precision: a precision per training image of so many times the median.
    """

    move: float = 5.0
    precision: float = 1000.0


def admitted(model: GlobalModel, updates: Iterable[SiteUpdate], gate: Gate) -> tuple[list[SiteUpdate], dict[str, str]]:
    """Updates by site name, so that sums are bit-equal in any order of arrival; {site: why it was refused}.

    Refused are updates of another round or network, with numbers that are not finite, a negative precision, one of a
    head that the site says it has no label for, and, where there are at least `ENOUGH` sites, moves and precisions that
    are far larger than the others'.

    Raises:
        UserError: no update, or two of one site.
    """
    found = sorted(updates, key=lambda u: u.site)
    if not found:
        raise UserError(f"round {model.round} has no updates: expected at least one site's")
    for update, before in zip(found, [None, *found[:-1]], strict=True):
        if before is not None and before.site == update.site:
            raise UserError(f"site {update.site!r} sent two updates in round {model.round}: expected one")
    refused = {u.site: why for u in found if (why := _fault(model, u))}
    sound = [u for u in found if u.site not in refused]
    refused |= _far_out({u.site: _length(model, u) for u in sound}, gate.move, "went a distance", "move")
    refused |= _far_out({u.site: _confidence(u) for u in sound}, gate.precision, "claims a precision", "precision")
    return [u for u in sound if u.site not in refused], refused


def _fault(model: GlobalModel, update: SiteUpdate) -> str | None:
    """What is wrong with an update by itself."""
    if update.round != model.round:
        return f"it is of round {update.round}: expected round {model.round}"
    if update.mean.keys() != model.mean.keys():
        odd = sorted(update.mean.keys() ^ model.mean.keys())[0]
        return f"it is of another architecture: it differs in {odd!r}; update the site's params"
    if min([update.examples, *update.labelled.values()]) < 0:
        return "it has a negative number of examples"
    faults = (_strange(model, name, value) for name, value in update.mean.items())
    doubts = (_doubt(model, update, name, value) for name, value in update.precision.items())
    return next((why for why in (*faults, *doubts) if why), None)


def _strange(model: GlobalModel, name: str, value: Tensor) -> str | None:
    if (why := _other_shape(model, name, value)) or _finite(value):
        return why
    return f"it is not finite in {name!r}: lower its learning rate or leave the site out"


def _doubt(model: GlobalModel, update: SiteUpdate, name: str, value: Tensor) -> str | None:
    if why := _other_shape(model, name, value):
        return f"its precision: {why}"
    if not _finite(value, lowest=0.0):
        return f"it has a negative or infinite precision in {name!r}"
    if part(name) != "encoder" and not update.labelled.get(part(name)) and bool(value.any()):
        return f"it has a precision in {name!r}, and says that it has no label for {part(name)!r}"
    return None


def _other_shape(model: GlobalModel, name: str, value: Tensor) -> str | None:
    expected = tuple(model.mean[name].shape) if name in model.mean else None
    if tuple(value.shape) == expected:
        return None
    return f"it is of another architecture: {name!r} has shape {tuple(value.shape)}, expected {expected}"


def _finite(value: Tensor, lowest: float = -math.inf) -> bool:
    """Whether no element is infinite, not a number, or below `lowest`; in one pass over many small tensors."""
    if not value.numel():
        return True
    low, high = (float(v) for v in value.aminmax())
    return low >= lowest and math.isfinite(low) and math.isfinite(high)


def _length(model: GlobalModel, update: SiteUpdate) -> float:
    """Of the update's move."""
    squares = (float((v.double() - model.mean[n].double()).square().sum()) for n, v in update.mean.items())
    return math.sqrt(sum(squares))


def _confidence(update: SiteUpdate) -> float:
    """Mean precision per training image."""
    total = sum(float(v.double().sum()) for v in update.precision.values())
    return total / max(1, sum(v.numel() for v in update.precision.values())) / max(1, update.examples)


def _far_out(values: Mapping[str, float], times: float, what: str, knob: str) -> dict[str, str]:
    """Sites whose value is more than so many times the median."""
    positive: Sequence[float] = [v for v in values.values() if v > 0]
    if len(positive) < ENOUGH:
        return {}
    usual = median(positive)
    return {
        site: f"it {what} of {value:.3g}, {value / usual:.3g} times the sites' median: expected at most {times:g} "
        f"times; if its data set is that much larger, raise federation.gate.{knob}"
        for site, value in values.items()
        if value > times * usual
    }
