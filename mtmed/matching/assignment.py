"""Who takes which place, given what it costs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mtmed.matching.group import Group

STAY = 1e-9  # of the mean cost: what a unit that stays is let off, so that ties and rounding move none


def assigned(group: Group, costs: Sequence[Tensor]) -> list[Tensor]:
    """The cheapest order of a group: blocks as blocks, by what their units cost when those are at their best inside.

    Args:
        costs: of each part [places, units], as `mtmed.matching.cost.costs` has them.
    """
    inside = [_inside(_with_rest(cost), group.blocks) for cost in costs]
    blocks = _solved(sum((price for price, _ in inside[1:]), inside[0][0]))
    orders = []
    for _, units in inside:
        chosen = units[torch.arange(group.blocks), blocks]
        orders.append((blocks[:, None] * units.shape[-1] + chosen).flatten())
    return orders


def _with_rest(cost: Tensor) -> Tensor:
    return cost - torch.eye(len(cost), dtype=cost.dtype) * (STAY * float(cost.abs().mean()))


def _inside(cost: Tensor, blocks: int) -> tuple[Tensor, Tensor]:
    """For each block [blocks, blocks] at each place: the least cost, and the order of its units [..., units]."""
    size = len(cost) // blocks
    pairs = cost.unflatten(1, (blocks, size)).unflatten(0, (blocks, size)).transpose(1, 2)
    orders = torch.stack([torch.stack([_solved(pair) for pair in row]) for row in pairs])
    return pairs.gather(3, orders[..., None]).sum((2, 3)), orders


def _solved(cost: Tensor) -> Tensor:
    """The unit at each place."""
    return torch.from_numpy(linear_sum_assignment(cost.numpy())[1])
