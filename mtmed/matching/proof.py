"""A network is asked whether its groups are what they seem: with units in other places it must answer the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor

from mtmed.matching.group import Group, permuted
from mtmed.models.multitask import MultiTask

ROUNDING = 1e-3  # of the largest number that a head says


def proven(net: MultiTask, groups: Sequence[Group]) -> tuple[Group, ...]:
    """Those of the groups whose units can change places in this architecture.

    All are tried at once, which is enough as a rule; one by one only where an answer differs. The network's values do
    not matter: those that are tried are drawn, as scales that are all 1 would not show who has gone where.
    """
    draw = torch.Generator().manual_seed(0)
    own = deepcopy(net).eval()
    with torch.no_grad():
        for name, value in own.named_parameters():
            scale = value.std(correction=0) + (0.1 if value.ndim < 2 or name.startswith("heads.") else 0.0)
            value.add_(scale * torch.randn(value.shape, generator=draw))
    size = own.architecture.image_size
    images = torch.rand(1, 1, size, size, generator=draw)
    state = {name: value.clone() for name, value in own.state_dict().items()}
    says = _answers(own, state, images)
    if _same(says, _answers(own, _turned(state, groups, draw), images)):
        return tuple(groups)
    return tuple(g for g in groups if _same(says, _answers(own, _turned(state, [g], draw), images)))


def _turned(state: Mapping[str, Tensor], groups: Sequence[Group], draw: torch.Generator) -> dict[str, Tensor]:
    """No block and no unit stays in its place."""
    orders = {}
    for group in groups:
        blocks = _cycle(group.blocks, draw)[:, None]
        inside = [torch.stack([_cycle(part.units, draw) for _ in blocks]) for part in group.parts]
        orders[group.name] = [(blocks * order.shape[1] + order).flatten() for order in inside]
    return permuted(state, groups, orders)


def _cycle(size: int, draw: torch.Generator) -> Tensor:
    """A random order in which each comes to another's place, all in one round."""
    chain = torch.randperm(size, generator=draw)
    return torch.empty_like(chain).scatter(0, chain, chain.roll(1))


def _answers(net: MultiTask, state: Mapping[str, Tensor], images: Tensor) -> list[Tensor]:
    net.load_state_dict(state)
    found = net.tensors(images, [spec.name for spec in net.architecture.heads])
    return [values for parts in found.values() for values in parts.values()]


def _same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return all(float((a - b).abs().max()) <= ROUNDING * float(a.abs().max()) for a, b in zip(one, other, strict=True))
