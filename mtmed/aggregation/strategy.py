"""Strategies: named combinations of a correction, an alignment, a merge, a server's step, personal parts and an
order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from statistics import fmean
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mtmed.aggregation.alignments._base import Alignment
from mtmed.aggregation.incoming import Gate, admitted, nothing_left
from mtmed.aggregation.merges._base import Merge, Moved
from mtmed.aggregation.orders._base import Order
from mtmed.aggregation.personal._base import Personal
from mtmed.aggregation.piece import Table, cuts, part
from mtmed.aggregation.relay import mean_gradient, summed
from mtmed.aggregation.servers._base import Server
from mtmed.errors import UserError, unknown
from mtmed.registry import find
from mtmed.training.corrections._base import Correction
from mtmed.types import Architecture, GlobalModel, SiteUpdate

if TYPE_CHECKING:
    from torch import Tensor

Options = Mapping[str, "str | float"]
Shares = dict[str, dict[str, float]]
State = Mapping[str, "Tensor"]  # {"<parameter>/<quantity>": value}, what a server remembers

NAMED: Mapping[str, Options] = {
    "local": {"merge": "nothing"},
    "fedavg": {"merge": "examples"},
    "label_aware": {"merge": "labels"},
    "masks_only": {"merge": "masks_only"},
    "fedprox": {"merge": "examples", "correction": "prox"},
    "fedavgm": {"merge": "examples", "server": "momentum"},
    "fedadam": {"merge": "examples", "server": "adam"},
    "fedexp": {"merge": "examples", "server": "extrapolated"},
    "scaffold": {"merge": "examples", "correction": "scaffold"},
    "cyclic": {"merge": "labels", "order": "relay"},
    "fedbn": {"merge": "examples", "personal": "norms"},
    "median": {"merge": "median"},
    "trimmed_mean": {"merge": "trimmed_mean"},
    "fisher": {"merge": "fisher"},
    "bayes": {"merge": "bayes", "order": "relay"},
}
KINDS = {
    "merge": ("mtmed.aggregation.merges", "Merge"),
    "server": ("mtmed.aggregation.servers", "Server"),
    "correction": ("mtmed.training.corrections", "Correction"),
    "personal": ("mtmed.aggregation.personal", "Personal"),
    "order": ("mtmed.aggregation.orders", "Order"),
    "alignment": ("mtmed.aggregation.alignments", "Alignment"),
}
USUAL: Options = {
    "server": "plain",
    "correction": "nothing",
    "personal": "nothing",
    "order": "together",
    "alignment": "nothing",
}
STATISTICS = ("running_mean", "running_var")  # of batch norm: no directions, so a server's optimiser leaves them alone


@dataclass(frozen=True)
class Merged:
    """What an aggregation gives.

    Attributes:
        shares: {head or "encoder": {site: share}}: the mean share of the pull over the part's parameters; a part at
            which nobody pulls, or of which that cannot be said, is absent.
        refused: {site: why its update was not taken}.
        state: what the server remembers.
    """

    model: GlobalModel
    shares: Shares
    refused: dict[str, str]
    state: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Strategy:
    """What sites add to their training, which of their units are the same, how their updates are merged, what the
    server does with that, what of it the sites do not take, and who trains after whom.
    """

    merge: Merge
    server: Server
    correction: Correction
    personal: Personal
    order: Order
    alignment: Alignment

    @property
    def tells_precision(self) -> bool:
        """Whether sites are told of the others' precision."""
        return self.correction.needs_precision or self.alignment.needs_precision

    def asks_precision(self, sites: Sequence[str], round: int, rounds: int) -> bool:
        """Whether sites measure one in this round: what a single chain of them left is merged with nothing."""
        merges = len(self.order.chains(sites, round, rounds)) > 1
        return self.tells_precision or (merges and self.merge.needs_precision)

    @property
    def shares(self) -> bool:
        """Whether there is a global model at all."""
        return self.merge.shares

    def told(self, model: GlobalModel) -> GlobalModel:
        """What sites are told of a model: without its precision, which is as large, where none of them asks for it."""
        return model if self.tells_precision else replace(model, precision={})

    def aggregate(
        self,
        model: GlobalModel,
        updates: Sequence[SiteUpdate],
        kinds: Mapping[str, str] | None = None,
        state: State | None = None,
        gate: Gate = Gate(),  # noqa: B008  (frozen)
        architecture: Architecture | None = None,
    ) -> Merged:
        """The next global model, of the updates that the gate admits; their order does not matter, not to a bit.

        Args:
            kinds: of the heads.
            state: what the server remembered of the last round; without it, it starts afresh.
            gate: what is refused though it is well-formed.
            architecture: of the network, which an alignment needs.

        Raises:
            UserError: no update, two of one site, none that is admitted, or no architecture where one is needed.
        """
        sites, refused = self._aligned(model, updates, gate, architecture)
        if not sites:
            raise nothing_left(model.round, refused)
        table = Table(sites, kinds or {})
        moved = {name: self._moved(name, start.flatten().float(), table) for name, start in model.mean.items()}
        mean, remembered = self._stepped(model, moved, state or {})
        # replaced, not added to that of the round before: a site reads the same data again every round
        precision = summed([u.precision for u in sites])
        merged = GlobalModel(model.round + 1, mean, precision, model.lineage, gradient=mean_gradient(sites))
        return Merged(merged, _shares(sites, moved), refused, remembered)

    def _aligned(
        self, model: GlobalModel, updates: Sequence[SiteUpdate], gate: Gate, architecture: Architecture | None
    ) -> tuple[list[SiteUpdate], dict[str, str]]:
        """The updates that are merged, aligned, and {site: why it was refused}."""
        if not self.alignment.aligns:
            return admitted(model, updates, gate)
        sound, refused = admitted(model, updates, replace(gate, move=math.inf))
        if not sound:
            return sound, refused
        # each alone first: how far it went shows when its units are where the model's are, and one that went too far
        # must not move the others' units
        alone = [self.alignment.aligned(model, [update], architecture)[0] for update in sound]
        sites, far = admitted(model, alone, gate)
        return self.alignment.aligned(model, sites, architecture), refused | far

    def _moved(self, name: str, start: Tensor, table: Table) -> Moved:
        """The merge of a whole parameter; `pulls` by element."""
        count = len(table.sites)
        sums = self._sums(name, start, table) if self.merge.needs_precision else None
        move, pulls, squares = start.new_zeros(len(start)), start.new_zeros(count).double(), start.new_zeros(())
        said = len(start) > 0
        for cut in cuts(len(start), count):
            piece = self.merge.move(table.piece(name, start, cut, sums, self.server.needs_diversity))
            move[cut] = piece.move
            if piece.pulls is None:
                said = False
                continue
            pulls += piece.pulls * (cut.stop - cut.start) / len(start)
            squares += 0 if piece.squares is None else piece.squares
        return Moved(move, pulls, squares) if said else Moved(move)

    def _sums(self, name: str, start: Tensor, table: Table) -> Tensor | None:
        """What the merge wants to know of the parameter's precisions as a whole, by element."""
        total: Tensor | None = None
        for cut in cuts(len(start), len(table.sites)):
            known = table.precision(name, cut)
            added = None if known is None else self.merge.sums(known)
            if added is not None:
                total = added if total is None else total + added
        return None if total is None else total / len(start)

    def _stepped(
        self, model: GlobalModel, moved: Mapping[str, Moved], state: State
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The model's values after the server's step, and what the server remembers."""
        mean: dict[str, Tensor] = {}
        remembered: dict[str, Tensor] = {}
        diversity = _diversity(moved) if self.server.needs_diversity else dict.fromkeys(map(part, moved), 1.0)
        for name, start in model.mean.items():
            move = moved[name].move
            if self.shares and not name.endswith(STATISTICS):
                own = {key.rpartition("/")[2]: v.double() for key, v in state.items() if key.rpartition("/")[0] == name}
                move, kept = self.server.step(move, own, diversity[part(name)])
                remembered |= {f"{name}/{quantity}": value for quantity, value in kept.items()}
            mean[name] = (start + move.reshape(start.shape)).to(start.dtype)
        return mean, remembered


def strategy(name: str, options: Options) -> Strategy:
    """The strategy of that name with these options: those of its parts, by their own names.

    Those of `KINDS` among the options choose other parts; with a `merge`, any name will do.

    Raises:
        UserError: no such strategy, part or option, or an impossible value.
    """
    if name not in NAMED and "merge" not in options:
        raise unknown("strategy", name, NAMED)
    said = {**USUAL, **NAMED.get(name, {}), **options}
    _expect_fitting(name, said)
    modules = {kind: _module(name, kind, said.pop(kind)) for kind in KINDS}
    known = {kind: {f.name for f in fields(_class(kind, module))} for kind, module in modules.items()}
    for key in list(said):
        if not any(key in names for names in known.values()):
            if key not in options:  # the name's own, of a part that was replaced
                del said[key]
                continue
            raise unknown(f"option of strategy {name!r}", key, sorted(set().union(*known.values())) or {"(none)"})
        if isinstance(said[key], str):
            raise UserError(f"strategies.{name}.{key}: expected a number, got {said[key]!r}")
    try:
        parts = {k: _class(k, m)(**{key: said[key] for key in known[k] & said.keys()}) for k, m in modules.items()}
    except UserError as error:
        raise UserError(f"strategies.{name}.{error}") from error
    found = Strategy(**parts)
    if not found.shares and (found.correction.needs_precision or found.correction.needs_gradient):
        raise UserError(
            f"strategies.{name}: with merge 'nothing' expected a correction that asks nothing of other sites"
        )
    return found


def _expect_fitting(name: str, said: Options) -> None:
    """That parts go together."""
    if "nothing" not in (said["alignment"], said["personal"]):
        raise UserError(
            f"strategies.{name}: with alignment {said['alignment']!r} expected personal 'nothing', got "
            f"{said['personal']!r}: what a site keeps would stay in an order that the global model does not have"
        )
    if said["merge"] == "nothing" and said["order"] != "together":
        raise UserError(
            f"strategies.{name}: with merge 'nothing' expected order 'together', got {said['order']!r}: sites that "
            "share no model have nothing to hand on"
        )


def _module(name: str, kind: str, wanted: str | float) -> ModuleType:
    if not isinstance(wanted, str):
        raise UserError(f"strategies.{name}.{kind}: expected a name, got {wanted}")
    return find(KINDS[kind][0], wanted, kind)


def _class(kind: str, module: ModuleType) -> Any:
    return getattr(module, KINDS[kind][1])


def _diversity(moved: Mapping[str, Moved]) -> dict[str, float]:
    """By head and for the encoder: the sites' mean squared move by the square of the merged one; 1 where unknown."""
    squares: dict[str, float] = {}
    merged: dict[str, float] = {}
    for name, found in moved.items():
        if found.squares is not None:
            squares[part(name)] = squares.get(part(name), 0.0) + float(found.squares)
            merged[part(name)] = merged.get(part(name), 0.0) + float(found.move.dot(found.move))
    known = {p: max(1.0, squares[p] / merged[p]) if merged[p] > 0 else 1.0 for p in squares}
    return dict.fromkeys(map(part, moved), 1.0) | known


def _shares(sites: Sequence[SiteUpdate], moved: Mapping[str, Moved]) -> Shares:
    """The mean share of each site's pull over the parameters of each part."""
    rows: dict[str, list[list[float]]] = {}
    for name, found in moved.items():
        if found.pulls is not None and float(found.pulls.sum()) > 0:
            rows.setdefault(part(name), []).append((found.pulls / found.pulls.sum()).tolist())
    return {
        name: {u.site: fmean(column) for u, column in zip(sites, zip(*found, strict=True), strict=True)}
        for name, found in rows.items()
    }
