"""Strategies: named combinations of a correction of local training, a merge, and a server's optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import fmean
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mtmed.aggregation.incoming import Gate, admitted
from mtmed.aggregation.merges._base import Merge
from mtmed.aggregation.piece import Table, cuts, part
from mtmed.aggregation.servers._base import Server
from mtmed.errors import UserError, unknown
from mtmed.registry import find
from mtmed.training.corrections._base import Correction
from mtmed.types import GlobalModel, SiteUpdate

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
    "median": {"merge": "median"},
    "trimmed_mean": {"merge": "trimmed_mean"},
    "fisher": {"merge": "fisher"},
    "bayes": {"merge": "bayes"},
}
KINDS = {
    "merge": ("mtmed.aggregation.merges", "Merge"),
    "server": ("mtmed.aggregation.servers", "Server"),
    "correction": ("mtmed.training.corrections", "Correction"),
}
USUAL: Options = {"server": "plain", "correction": "nothing"}
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
    """What sites add to their training, how their updates are merged, and what the server does with that."""

    merge: Merge
    server: Server
    correction: Correction

    @property
    def needs_precision(self) -> bool:
        """Whether sites measure one."""
        return self.merge.needs_precision or self.correction.needs_precision

    @property
    def shares(self) -> bool:
        """Whether there is a global model at all."""
        return self.merge.shares

    def aggregate(
        self,
        model: GlobalModel,
        updates: Sequence[SiteUpdate],
        kinds: Mapping[str, str] | None = None,
        state: State | None = None,
        gate: Gate = Gate(),  # noqa: B008  (frozen)
    ) -> Merged:
        """The next global model, of the updates that the gate admits; their order does not matter, not to a bit.

        Args:
            kinds: of the heads.
            state: what the server remembered of the last round; without it, it starts afresh.
            gate: what is refused though it is well-formed.

        Raises:
            UserError: no update, two of one site, or none that is admitted.
        """
        sites, refused = admitted(model, updates, gate)
        if not sites:
            site, why = next(iter(refused.items()))
            raise UserError(f"round {model.round}: all updates are refused; that of site {site!r}: {why}")
        mean: dict[str, Tensor] = {}
        remembered: dict[str, Tensor] = {}
        shares: dict[str, list[list[float]]] = {}
        table = Table(sites, kinds or {})
        for name, start in model.mean.items():
            move, pulls = self._move(name, start.flatten().float(), table)
            move = self._step(name, move, state or {}, remembered)
            mean[name] = (start + move.reshape(start.shape)).to(start.dtype)
            if pulls and sum(pulls) > 0:
                shares.setdefault(part(name), []).append([p / sum(pulls) for p in pulls])
        merged = GlobalModel(model.round + 1, mean, _total_precision(sites), model.lineage)
        by_part = {name: _by_site(sites, rows) for name, rows in shares.items()}
        return Merged(merged, by_part, refused, remembered)

    def _move(self, name: str, start: Tensor, table: Table) -> tuple[Tensor, list[float] | None]:
        """The merged move [elements], and how hard each site pulled, on average."""
        count = len(table.sites)
        sums = self._sums(name, start, table) if self.needs_precision else None
        move, pulls = start.new_zeros(len(start)), start.new_zeros(count).double()
        said = len(start) > 0
        for cut in cuts(len(start), count):
            move[cut], pulled = self.merge.move(table.piece(name, start, cut, sums))
            said &= pulled is not None
            if pulled is not None:
                pulls += pulled * (cut.stop - cut.start) / len(start)
        return move, pulls.tolist() if said else None

    def _sums(self, name: str, start: Tensor, table: Table) -> Tensor | None:
        """What the merge wants to know of the parameter's precisions as a whole, by element."""
        total: Tensor | None = None
        for cut in cuts(len(start), len(table.sites)):
            known = table.precision(name, cut)
            added = None if known is None else self.merge.sums(known)
            if added is not None:
                total = added if total is None else total + added
        return None if total is None else total / len(start)

    def _step(self, name: str, move: Tensor, state: State, remembered: dict[str, Tensor]) -> Tensor:
        if name.endswith(STATISTICS) or not self.shares:
            return move
        own = {key.rpartition("/")[2]: v.double() for key, v in state.items() if key.rpartition("/")[0] == name}
        stepped, kept = self.server.step(move.double(), own)
        remembered.update({f"{name}/{quantity}": value for quantity, value in kept.items()})
        return stepped


def strategy(name: str, options: Options) -> Strategy:
    """The strategy of that name with these options: those of its parts, by their own names.

    `merge`, `server` and `correction` among the options choose other parts; with a `merge`, any name will do.

    Raises:
        UserError: no such strategy, part or option, or an impossible value.
    """
    if name not in NAMED and "merge" not in options:
        raise unknown("strategy", name, NAMED)
    said = {**USUAL, **NAMED.get(name, {}), **options}
    modules = {kind: _module(name, kind, said.pop(kind)) for kind in KINDS}
    known = {kind: {f.name for f in fields(_class(kind, module))} for kind, module in modules.items()}
    for key in said:
        if not any(key in names for names in known.values()):
            raise unknown(f"option of strategy {name!r}", key, sorted(set().union(*known.values())) or {"(none)"})
        if isinstance(said[key], str):
            raise UserError(f"strategies.{name}.{key}: expected a number, got {said[key]!r}")
    try:
        parts = {k: _class(k, m)(**{key: said[key] for key in known[k] & said.keys()}) for k, m in modules.items()}
    except UserError as error:
        raise UserError(f"strategies.{name}.{error}") from error
    return Strategy(**parts)


def _module(name: str, kind: str, wanted: str | float) -> ModuleType:
    if not isinstance(wanted, str):
        raise UserError(f"strategies.{name}.{kind}: expected a name, got {wanted}")
    return find(KINDS[kind][0], wanted, kind)


def _class(kind: str, module: ModuleType) -> Any:
    return getattr(module, KINDS[kind][1])


def _by_site(sites: Sequence[SiteUpdate], rows: list[list[float]]) -> dict[str, float]:
    """{site: mean of its column}."""
    return {u.site: fmean(column) for u, column in zip(sites, zip(*rows, strict=True), strict=True)}


def _total_precision(sites: Sequence[SiteUpdate]) -> dict[str, Tensor]:
    """The sites' precisions summed.

    Replaced, not added to that of the round before: a site reads the same data again every round.
    """
    total: dict[str, Tensor] = {}
    for update in sites:
        for name, value in update.precision.items():
            total[name] = total[name] + value.float() if name in total else value.float()
    return total
