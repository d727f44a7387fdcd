"""One network's units to a reference's: coordinate descent over the groups (Ainsworth et al. 2023).

With all groups but one in their places, the best order of that one is an assignment problem. A descent begins where the
network is; only if anything moves, a second one begins with the groups from the image upwards, each placed by what lies
between it and groups that have been placed (Wang et al. 2020, layer by layer), and the nearer of both is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from mtmed.matching.assignment import assigned
from mtmed.matching.cost import Reference, costs, distance
from mtmed.matching.group import Group, Orders, moves, permuted

SWEEPS = 50  # over all groups; each lowers the distance, and few are needed


def matched(
    groups: Sequence[Group], weights: Mapping[str, Tensor], reference: Reference, again: bool = False
) -> dict[str, list[Tensor]]:
    """The orders that bring a network's units to the reference's; where it is at its nearest, every unit stays.

    Args:
        weights: all parameters of the groups' members; so has the reference.
        again: the network has been matched before, and one descent is enough.
    """
    stay = {group.name: group.identity() for group in groups}
    near = _descended(groups, weights, reference, stay)
    if again or not moves(near):
        return near
    upwards = _descended(groups, weights, reference, _upwards(groups, weights, reference))
    return min((near, upwards), key=lambda orders: distance(permuted(weights, groups, orders), reference))


def after(first: Orders, second: Orders) -> dict[str, list[Tensor]]:
    """The orders that do what one and then the other do."""
    return {name: [a[b] for a, b in zip(first[name], second[name], strict=True)] for name in first}


def _descended(
    groups: Sequence[Group], weights: Mapping[str, Tensor], reference: Reference, start: Mapping[str, list[Tensor]]
) -> dict[str, list[Tensor]]:
    """Group after group, until none moves."""
    orders, current = dict(start), permuted(weights, groups, start)
    for _ in range(SWEEPS):
        still = True
        for group in groups:
            step = {group.name: assigned(group, costs(group, current, reference))}
            if moves(step):
                still = False
                current = permuted(current, [group], step)
                orders |= after({group.name: orders[group.name]}, step)
        if still:
            break
    return orders


def _upwards(groups: Sequence[Group], weights: Mapping[str, Tensor], reference: Reference) -> dict[str, list[Tensor]]:
    """Each group once, by parameters that have nothing to do with groups that are yet to come, if it has such."""
    later: dict[str, int] = {}
    for number, group in enumerate(groups):
        for part in group.parts:
            later |= {member.parameter: number for member in part.members}
    orders, current = {}, dict(weights)
    for number, group in enumerate(groups):
        owned = {member.parameter for part in group.parts for member in part.members}
        known = [name for name in sorted(owned) if later[name] <= number]
        orders[group.name] = assigned(group, costs(group, current, reference, known))
        current = permuted(current, [group], {group.name: orders[group.name]})
    return orders
