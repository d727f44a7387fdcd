"""What alignments have in common."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from mtmed.aggregation.piece import part
from mtmed.errors import UserError
from mtmed.types import Architecture, GlobalModel, SiteUpdate

if TYPE_CHECKING:  # options are checked in stages that need no torch
    from torch import Tensor

    from mtmed.matching.group import Group, Orders

NEAR = 0.1  # the cosine between a network's kernels and those it came from; of independent ones it is near 0


class Alignment(ABC):
    """Units of the sites' networks, to the places that they have in the global model."""

    aligns: ClassVar[bool] = True  # False: sites start from the global model, whose places they keep
    needs_precision: ClassVar[bool] = False

    @abstractmethod
    def aligned(
        self, model: GlobalModel, sites: Sequence[SiteUpdate], architecture: Architecture | None
    ) -> list[SiteUpdate]:
        """The updates, whose units are where the model's are.

        Args:
            sites: well-formed updates, by name.

        Raises:
            UserError: it needs the architecture.
        """


class Matched(Alignment):
    """Units by what they do (`mtmed.matching`). A site where nothing moves is passed on as it is.

    The places are the global model's. Before the first round it knows nothing, and if no site started from it they are
    those of the first site.
    """

    @abstractmethod
    def sureness(self, update: SiteUpdate, names: Sequence[str]) -> dict[str, Tensor]:
        """How much a site's values count, by parameter: a number, or one for each element; 0 where it has no label."""

    @abstractmethod
    def prior(self, model: GlobalModel, sites: Sequence[SiteUpdate], names: Sequence[str]) -> dict[str, Tensor]:
        """As `sureness`, of the global model's values."""

    def aligned(
        self, model: GlobalModel, sites: Sequence[SiteUpdate], architecture: Architecture | None
    ) -> list[SiteUpdate]:
        from mtmed.matching.align import Said, align

        if architecture is None:
            raise UserError("an alignment needs the network: expected its architecture, got none; give `architecture`")
        groups = _groups(architecture)
        names = sorted({member.parameter for group in groups for p in group.parts for member in p.members})
        said = [Said(update.mean, self.sureness(update, names)) for update in sites]
        known = model.round > 0 or any(_came_from(model, update, names) for update in sites)
        orders = align(groups, said, Said(model.mean, self.prior(model, sites, names)) if known else None)
        return [_permuted(update, groups, order) for update, order in zip(sites, orders, strict=True)]


def reach(update: SiteUpdate, name: str) -> int:
    """The labelled examples that reach a parameter: all of the site's for the encoder."""
    head = part(name)
    return update.examples if head == "encoder" else update.labelled.get(head, 0)


def _came_from(model: GlobalModel, update: SiteUpdate, names: Sequence[str]) -> bool:
    """Whether a site started from the model, unit by unit: its kernels still point the same way."""
    product = length = start = 0.0
    for name in names:
        a, b = update.mean[name].flatten().float(), model.mean[name].flatten().float()
        if update.mean[name].ndim > 1:  # scales and shifts begin alike in all networks
            product, length, start = product + float(a.dot(b)), length + float(a.dot(a)), start + float(b.dot(b))
    return product > NEAR * (length * start) ** 0.5


def _permuted(update: SiteUpdate, groups: Sequence[Group], orders: Orders) -> SiteUpdate:
    from mtmed.matching.group import moves, permuted

    if not moves(orders):
        return update

    def turned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return permuted(tensors, groups, orders)

    return replace(
        update, mean=turned(update.mean), precision=turned(update.precision), gradient=turned(update.gradient)
    )


@cache  # finding them means building the network, and asking it
def _groups(architecture: Architecture) -> tuple[Group, ...]:
    from mtmed.matching.proof import proven
    from mtmed.matching.symmetries import symmetries
    from mtmed.models.multitask import build

    net = build(architecture)
    found = symmetries(net)
    groups = proven(net, found.groups)
    doubtful = [group.name for group in found.groups if all(group is not sure for sure in groups)]
    if found.unknown or doubtful:
        logging.getLogger(__name__).warning(
            "matching does not know these parts of %s, and leaves what touches them in its place: %s",
            architecture.encoder,
            ", ".join([*found.unknown, *doubtful]),
        )
    return groups
