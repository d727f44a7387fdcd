"""The gate: which updates a round takes, in which order, and why it refuses the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from mtmed.aggregation.piece import cuts, part
from mtmed.errors import UserError
from mtmed.types import GlobalModel, SiteUpdate

if TYPE_CHECKING:  # options are checked in stages that need no torch
    from torch import Tensor

ENOUGH = 3  # sites that a median needs
WENT, CLAIMS = ("went a distance", "move"), ("claims a precision", "precision")  # what is far out, and its limit
Measured = Mapping[str, Sequence[float]]  # {site: length of its move, mean precision per training image}


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
    sound: dict[str, _Look] = {}
    refused: dict[str, str] = {}
    for update in found:
        try:
            sound[update.site] = _look(model, update)
        except UserError as error:
            refused[update.site] = str(error)
    # what came from a model of its own has no move to measure
    came = {u.site for u in found if u.round == 0 and "start" in u.lineage}
    refused |= _far_out({s: look.length for s, look in sound.items() if s not in came}, gate.move, *WENT)
    refused |= _far_out({s: look.confidence for s, look in sound.items()}, gate.precision, *CLAIMS)
    return [u for u in found if u.site not in refused], refused


def nothing_left(round: int, refused: Mapping[str, str]) -> UserError:
    """The error for a round of which every update is refused, {site: why}."""
    site, why = next(iter(refused.items()))
    return UserError(f"round {round}: all updates are refused; that of site {site!r}: {why}")


class Hops:
    """The gate between the sites of a chain, where what one leaves is where the next begins."""

    def __init__(self, gate: Gate, before: Measured | None = None) -> None:
        """`before`: what was measured in the last round, with which the first sites of this one are compared."""
        self.gate, self.before, self.now = gate, dict(before or {}), dict[str, Sequence[float]]()

    def expect(self, model: GlobalModel, update: SiteUpdate) -> None:
        """Let an update pass that came from this model.

        Raises:
            UserError: why it is refused; as `admitted`, where the others are those that passed before it in this round
                and, as long as they are few, those of the last.
        """
        found: dict[str, Sequence[float]] = {**self.now, update.site: _look(model, update)}
        if len(found) < ENOUGH:
            found = {**self.before, **found}
        refused = _far_out({s: claim for s, (_, claim) in found.items()}, self.gate.precision, *CLAIMS)
        refused |= _far_out({s: length for s, (length, _) in found.items()}, self.gate.move, *WENT)
        if update.site in refused:
            raise UserError(refused[update.site])
        self.now[update.site] = found[update.site]


class _Look(NamedTuple):
    """Of a well-formed update: the length of its move, and its mean precision per training image."""

    length: float
    confidence: float


def _look(model: GlobalModel, update: SiteUpdate) -> _Look:
    """What an update measures.

    Raises:
        UserError: it is not well-formed.
    """
    if update.round != model.round:
        raise UserError(f"it is of round {update.round}: expected round {model.round}")
    if update.mean.keys() != model.mean.keys():
        odd = sorted(update.mean.keys() ^ model.mean.keys())[0]
        raise UserError(f"it is of another architecture: it differs in {odd!r}; update the site's params")
    if min([update.examples, *update.labelled.values()]) < 0:
        raise UserError("it has a negative number of examples")
    for name, value in update.gradient.items():
        _expect_shape(model, name, value, "its gradient")
        if not math.isfinite(_total(value.flatten())[0]):
            raise UserError(f"its gradient is not finite in {name!r}")
    return _Look(_length(model, update), _confidence(model, update))


def _length(model: GlobalModel, update: SiteUpdate) -> float:
    squares = 0.0
    for name, value in update.mean.items():
        _expect_shape(model, name, value, "it")
        added = _squares(value.flatten(), model.mean[name].flatten())
        if not math.isfinite(added):
            raise UserError(f"it is not finite in {name!r}: lower its learning rate or leave the site out")
        squares += added
    return math.sqrt(squares)


def _confidence(model: GlobalModel, update: SiteUpdate) -> float:
    whole, elements = 0.0, 0
    for name, value in update.precision.items():
        _expect_shape(model, name, value, "its precision")
        total, low = _total(value.flatten())
        if not (math.isfinite(total) and low >= 0):
            raise UserError(f"it has a negative or infinite precision in {name!r}")
        head = part(name)
        if head != "encoder" and total > 0 and not update.labelled.get(head):
            raise UserError(f"it has a precision in {name!r}, and says that it has no label for {head!r}")
        whole, elements = whole + total, elements + value.numel()
    return whole / max(1, elements) / max(1, update.examples)


def _expect_shape(model: GlobalModel, name: str, value: Tensor, what: str) -> None:
    if not value.is_floating_point():
        raise UserError(f"{what} has {value.dtype} in {name!r}: expected floating-point numbers")
    expected = tuple(model.mean[name].shape) if name in model.mean else None
    if tuple(value.shape) != expected:
        raise UserError(
            f"{what} is of another architecture: {name!r} has shape {tuple(value.shape)}, expected {expected}"
        )


def _squares(value: Tensor, start: Tensor) -> float:
    """The squared length of a parameter's move; not finite where an element is not."""
    moves = (value[cut].float() - start[cut].float() for cut in cuts(len(value), 1))
    return sum(float(move.dot(move)) for move in moves)


def _total(value: Tensor) -> tuple[float, float]:
    """Sum and least element of a precision; not finite where an element is not."""
    pieces = (value[cut].float() for cut in cuts(len(value), 1))
    both = [(float(p.sum()), float(p.min())) for p in pieces]
    return sum(total for total, _ in both), min((low for _, low in both), default=0.0)


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
