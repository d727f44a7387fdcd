"""What a merge sees: one piece of one parameter, at all sites at once.

Parameters go through a merge in pieces, so that the memory that an aggregation takes does not grow with the sites.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mtmed.types import SiteUpdate

if TYPE_CHECKING:  # options are checked in stages that need no torch
    from torch import Tensor

ELEMENTS = 1 << 18  # of all sites together, in a piece: it stays in a processor's cache


@dataclass(frozen=True)
class Piece:
    """K sites (by name), n elements; numbers are of double precision, so that equal updates merge to themselves.

    Attributes:
        name: the parameter's.
        start: the global model's values [n].
        moves: how far each site went from there [K,n].
        precision: [K,n], or None where no site sent one; 0 where a site sent none or has no label that reaches it.
        sums: what the merge summed over the whole parameter [K,m] (`Merge.sums`), divided by its elements.
        examples: training images of each site [K].
        labelled: labelled images of each site, by head [K].
        kinds: of the heads.
    """

    name: str
    start: Tensor
    moves: Tensor
    precision: Tensor | None
    sums: Tensor | None
    examples: Tensor
    labelled: Mapping[str, Tensor]
    kinds: Mapping[str, str]

    @property
    def part(self) -> str:
        """The head that the parameter belongs to, or `encoder`."""
        return part(self.name)

    @property
    def reach(self) -> Tensor:
        """The labelled examples that reach the parameter [K]: all of a site's for the encoder."""
        return self.examples if self.part == "encoder" else self.labelled_for(self.part)

    def labelled_for(self, head: str) -> Tensor:
        """Of each site [K]."""
        return self.labelled.get(head, self.examples.new_zeros(len(self.examples)))

    def with_precision(self, precision: Tensor | None) -> Piece:
        """The same, once the reach says whose precision counts."""
        return replace(self, precision=precision)


def part(name: str) -> str:
    """The head that a parameter of that name belongs to, or `encoder`."""
    parts = name.split(".", 2)
    return parts[1] if parts[0] == "heads" else "encoder"


def cuts(elements: int, sites: int) -> Iterator[slice]:
    """Where the pieces of a parameter begin and end."""
    size = max(1, ELEMENTS // max(1, sites))
    return (slice(at, min(at + size, elements)) for at in range(0, elements, size))


def stacked(sites: Sequence[SiteUpdate], name: str, cut: slice) -> Tensor:
    """The sites' values [K,n]."""
    import torch

    return torch.stack([u.mean[name].flatten()[cut].double() for u in sites])


def precisions(sites: Sequence[SiteUpdate], name: str, cut: slice, reach: Tensor) -> Tensor | None:
    """The sites' precisions [K,n], if any site sent one."""
    import torch

    sent = [u.precision.get(name) if r > 0 else None for u, r in zip(sites, reach.tolist(), strict=True)]
    known = next((p for p in sent if p is not None), None)
    if known is None:
        return None
    empty = known.new_zeros(cut.stop - cut.start).double()
    return torch.stack([empty if p is None else p.flatten()[cut].double() for p in sent])
