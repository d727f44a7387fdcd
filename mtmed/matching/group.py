"""Units that can change places without changing the network's function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Orders = Mapping[str, Sequence[Tensor]]  # {group: for each of its parts [blocks * units], who comes to each place}


@dataclass(frozen=True)
class Member:
    """Where the units of a part are in one dimension of one parameter.

    Attributes:
        parameter: its name, or a buffer's.
        dim: the dimension along which units lie.
        index: the elements [blocks, units, k] along `dim` that belong to each unit; k > 1 where a unit has several.
    """

    parameter: str
    dim: int
    index: Tensor


@dataclass(frozen=True)
class Part:
    """Units that change places among each other inside a block, and come along when it changes its place."""

    units: int
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Group:
    """Blocks that can change places, and in them, part by part, units that can.

    Hidden units of a layer are one block of one part. Attention heads are blocks of two parts: what queries and keys
    have in common, and what values and outputs have. The channels of a group norm are as many blocks as it has groups.
    """

    name: str
    blocks: int
    parts: tuple[Part, ...]

    def identity(self) -> list[Tensor]:
        """The order in which every unit stays."""
        return [torch.arange(self.blocks * part.units) for part in self.parts]


def permuted(tensors: Mapping[str, Tensor], groups: Sequence[Group], orders: Orders) -> dict[str, Tensor]:
    """Tensors by parameter (weights, precisions, gradients), with units in other places.

    Args:
        tensors: those of the groups' members that are missing stay missing.
        orders: of the groups that move; place i of a part takes the unit that stood at order[i].
    """
    out = dict(tensors)
    for group in groups:
        for part, order in zip(group.parts, orders.get(group.name, ()), strict=False):
            for member in part.members:
                if member.parameter in out:
                    out[member.parameter] = _moved(out[member.parameter], member, order)
    return out


def moves(orders: Orders) -> bool:
    """Whether any unit leaves its place."""
    return any(not torch.equal(order, torch.arange(len(order))) for parts in orders.values() for order in parts)


def _moved(value: Tensor, member: Member, order: Tensor) -> Tensor:
    places = member.index.flatten(0, 1)
    source = torch.arange(value.shape[member.dim])
    source[places.flatten()] = places[order].flatten()
    return value.index_select(member.dim, source)
