"""What is known of a network while its layers are walked through: which channels have to move together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mtmed.matching.group import Group, Member, Part

Walk = Callable[["Book", Any, Any], Any]  # (book, layer, axis or axes of its input) -> of its output


class Axis:
    """The channels of a tensor; those of tensors that are added to each other are one axis.

    Attributes:
        blocks: of channels that stay together, where a group norm has several.
        free: whether its channels may change places.
    """

    def __init__(self, size: int, free: bool = True) -> None:
        self.size, self.free, self.blocks = size, free, 1
        self.members: list[tuple[str, int, Tensor]] = []
        self.joined: Axis | None = None

    @property
    def root(self) -> Axis:
        """The axis that this one has become a part of."""
        return self if self.joined is None else self.joined.root


class Book:
    """Axes, and the parameters along which they lie.

    Attributes:
        unknown: the types of layers that were not understood; what touches them stays in its place.
    """

    def __init__(self, net: nn.Module, walks: Mapping[type, Walk], enclosed: Sequence[type]) -> None:
        """Args:
        walks: how to walk through a type of layer.
        enclosed: types with units of their own, whatever surrounds them.
        """
        self._names = {id(layer): name for name, layer in net.named_modules()}
        self._walks, self._enclosed = walks, enclosed
        self._axes: list[Axis] = []
        self._groups: dict[str, Group] = {}
        self._claims: dict[tuple[str, int], list[tuple[Axis, Tensor]]] = {}
        self._order: list[Axis | str] = []
        self.unknown: set[str] = set()

    def axis(self, size: int, free: bool = True) -> Axis:
        """A new one; `free=False` for an image's channels or a head's classes."""
        new = Axis(size, free)
        self._order.append(new)
        return new

    def name(self, layer: nn.Module, parameter: str) -> str:
        """What the network calls a layer's parameter."""
        return f"{self._names[id(layer)]}.{parameter}"

    def claim(self, axis: Axis, layer: nn.Module, parameter: str, dim: int, index: Tensor | None = None) -> None:
        """The axis lies along that dimension of a layer's parameter, if the layer has it.

        Args:
            index: the elements [size, k] of its channels; without it, one after the other and all there are.
        """
        value = getattr(layer, parameter, None)
        axis = axis.root
        if value is None or not axis.size:
            return
        index = torch.arange(axis.size)[:, None] if index is None else index
        if len(index) != axis.size or int(index.max()) >= value.shape[dim]:
            axis.free = False
            return
        name = self.name(layer, parameter)
        for other, there in self._claims.get((name, dim), []):
            if torch.equal(there, index):
                self.join(other, axis)
                return
            if bool(torch.isin(there, index).any()):
                other.root.free = axis.free = False
        self._claims.setdefault((name, dim), []).append((axis, index))
        axis.members.append((name, dim, index))

    def join(self, one: Axis, *others: Axis) -> Axis:
        """Axes of tensors that are added, multiplied or put through the same layer: they move as one."""
        for each in others:
            a, b = one.root, each.root
            if a is b:
                continue
            fits = a.size == b.size and (a.blocks == b.blocks or 1 in (a.blocks, b.blocks))
            a.free = a.free and b.free and fits
            a.blocks = max(a.blocks, b.blocks)
            a.members += b.members
            b.joined = a
        return one.root

    def block(self, axis: Axis, blocks: int) -> None:
        """Only whole blocks change places, and channels inside a block. Different numbers of blocks: none does."""
        axis = axis.root
        fits = axis.size % blocks == 0 and (1 in (axis.blocks, blocks) or axis.blocks == blocks)
        axis.free, axis.blocks = axis.free and fits, max(axis.blocks, blocks)

    def add(self, group: Group) -> None:
        """A group that is complete in itself."""
        if group.name not in self._groups:
            self._groups[group.name] = group
            self._order.append(group.name)

    def written(self, layer: nn.Linear | nn.Conv2d) -> Axis:
        """The channels that a layer gives."""
        after = self.axis(layer.weight.shape[0])
        self.claim(after, layer, "weight", 0)
        self.claim(after, layer, "bias", 0)
        return after

    def rows(self, layer: nn.Linear, index: Tensor) -> list[Member]:
        """Members for the numbers that a layer gives at `index` [blocks, units, k]."""
        present = [p for p in ("weight", "bias") if getattr(layer, p) is not None]
        return [Member(self.name(layer, p), 0, index) for p in present]

    def columns(self, layer: nn.Linear, index: Tensor) -> Member:
        """For those that it takes at `index`."""
        return Member(self.name(layer, "weight"), 1, index)

    def heads(self, layer: nn.Module, shared: Sequence[Member], carried: Sequence[Member], *more: Part) -> None:
        """The group of an attention's heads: what queries share with keys, what values carry to outputs, and more."""
        blocks, units, _ = shared[0].index.shape
        self.add(
            Group(self.name(layer, "heads"), blocks, (Part(units, tuple(shared)), Part(units, tuple(carried)), *more))
        )

    def walk(self, layer: nn.Module, given: Any) -> Any:
        """Through a layer: the axis (or axes) of what it gives for those of what it is given."""
        for kind in type(layer).__mro__:
            if kind in self._walks and _is(layer, kind):
                return self._walks[kind](self, layer, given)
        return self.leave(layer, given)

    def end(self, layer: nn.Module, given: Axis) -> None:
        """A head's last layer: classes, sides and the like have a meaning, and do not move."""
        self.walk(layer, given).root.free = False

    def leave(self, layer: nn.Module, given: Any) -> Axis:
        """A layer that is not understood: what goes in and comes out stays, but its enclosed layers are walked."""
        self.unknown.add(type(layer).__name__)
        for axis in given if isinstance(given, list) else [given]:
            axis.root.free = False
        for inner in layer.modules():
            if inner is not layer and any(_is(inner, kind) for kind in self._enclosed):
                self.walk(inner, Axis(0, free=False)).root.free = False
        return self.axis(0, free=False)

    def groups(self) -> list[Group]:
        """All that can move, in the order in which the network's layers come."""
        found = (self._groups[x] if isinstance(x, str) else _group(x) for x in self._order)
        return [group for group in found if group is not None]


def _is(layer: nn.Module, kind: Any) -> bool:
    """Whether a layer does what its type does: a subclass may not."""
    return isinstance(layer, kind) and type(layer).forward is kind.forward


def _group(axis: Axis) -> Group | None:
    """None for axes that may not move, or that have nothing to move."""
    into_itself = len({name for name, _, _ in axis.members}) < len({(n, d) for n, d, _ in axis.members})
    if axis.joined is not None or not axis.free or axis.size < 2 or not axis.members or into_itself:
        return None
    units = axis.size // axis.blocks
    members = [Member(name, dim, index.unflatten(0, (axis.blocks, units))) for name, dim, index in axis.members]
    first = members[0]
    return Group(f"{first.parameter}[{first.dim}]", axis.blocks, (Part(units, tuple(members)),))
