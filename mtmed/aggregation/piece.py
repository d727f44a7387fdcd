"""What a merge sees: one piece of one parameter, at all sites at once.

Parameters go through a merge in pieces, so that the memory that an aggregation takes does not grow with the sites.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mtmed.types import SiteUpdate

if TYPE_CHECKING:  # options are checked in stages that need no torch
    from torch import Tensor

ELEMENTS = 1 << 18  # of all sites together, in a piece: it stays in a processor's cache


@dataclass(frozen=True)
class Piece:
    """K sites (by name), n elements, in single precision; counts and sums over whole parameters are in double.

    Attributes:
        name: the parameter's.
        start: the global model's values [n].
        moves: how far each site went from there [K,n].
        reach: labelled examples that reach the parameter [K]: all of a site's for the encoder.
        precision: [K,n], or None where no site sent one; 0 where a site sent none or has no label that reaches it.
        sums: what the merge summed over the whole parameter [K,m] (`Merge.sums`), divided by its elements.
        examples: training images of each site [K].
        labelled: labelled images of each site, by head [K].
        kinds: of the heads.
        squares: whether the sites' squared moves are wanted.
    """

    name: str
    start: Tensor
    moves: Tensor
    reach: Tensor
    precision: Tensor | None
    sums: Tensor | None
    examples: Tensor
    labelled: Mapping[str, Tensor]
    kinds: Mapping[str, str]
    squares: bool = False

    @property
    def part(self) -> str:
        """The head that the parameter belongs to, or `encoder`."""
        return part(self.name)

    def labelled_for(self, head: str) -> Tensor:
        """Of each site [K]."""
        return self.labelled.get(head, self.examples.new_zeros(len(self.examples)))


def part(name: str) -> str:
    """The head that a parameter of that name belongs to, or `encoder`."""
    parts = name.split(".", 2)
    return parts[1] if parts[0] == "heads" else "encoder"


def cuts(elements: int, sites: int) -> Iterator[slice]:
    """Where the pieces of a parameter begin and end."""
    size = max(1, ELEMENTS // max(1, sites))
    return (slice(at, min(at + size, elements)) for at in range(0, elements, size))


class Table:
    """The updates of all sites, from which pieces are cut.

    Attributes:
        sites: by name.
    """

    def __init__(self, sites: Sequence[SiteUpdate], kinds: Mapping[str, str]) -> None:
        self.sites, self.kinds = sites, kinds
        heads = sorted({head for update in sites for head in update.labelled})
        self.examples = _counts([u.examples for u in sites])
        self.labelled = {head: _counts([u.labelled.get(head, 0) for u in sites]) for head in heads}
        self._last: dict[str, Any] = {}

    def piece(self, name: str, start: Tensor, cut: slice, sums: Tensor | None, squares: bool = False) -> Piece:
        """The elements `cut` of a parameter; `start` are the global model's values of all of it, flat."""
        import torch

        moves = torch.empty(len(self.sites), cut.stop - cut.start)
        for row, value in zip(moves, self._means(name), strict=True):
            torch.sub(value[cut], start[cut], out=row)  # however short a format it came in
        facts = (self.reach(name), self.precision(name, cut), sums, self.examples, self.labelled, self.kinds, squares)
        return Piece(name, start[cut], moves, *facts)

    def precision(self, name: str, cut: slice) -> Tensor | None:
        """The sites' precisions [K,n], if any site sent one that counts."""
        import torch

        sent = self._precisions(name)
        if all(p is None for p in sent):
            return None
        found = torch.empty(len(sent), cut.stop - cut.start)
        for row, value in zip(found, sent, strict=True):
            row.zero_() if value is None else row.copy_(value[cut])
        return found

    def _means(self, name: str) -> list[Tensor]:
        """Of all sites, flat; those of the last name are kept, as a parameter's pieces come one after the other."""
        if self._last.get("mean", ("",))[0] != name:
            self._last["mean"] = (name, [u.mean[name].flatten() for u in self.sites])
        return self._last["mean"][1]

    def _precisions(self, name: str) -> list[Tensor | None]:
        """As `_means`; None where a site sent none, or has no label that reaches the parameter."""
        if self._last.get("precision", ("",))[0] != name:
            reached = [
                (u.precision.get(name), r > 0) for u, r in zip(self.sites, self.reach(name).tolist(), strict=True)
            ]
            self._last["precision"] = (name, [p.flatten() if r and p is not None else None for p, r in reached])
        return self._last["precision"][1]

    def reach(self, name: str) -> Tensor:
        """The labelled examples that reach a parameter [K]: all of a site's for the encoder."""
        head = part(name)
        return self.examples if head == "encoder" else self.labelled.get(head, self.examples * 0)


def _counts(numbers: Sequence[int]) -> Tensor:
    import torch

    return torch.tensor(numbers, dtype=torch.float64)
