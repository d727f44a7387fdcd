"""What it costs that a unit takes a place: the precision's distance from what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mtmed.matching.group import Group, Member, Part


@dataclass(frozen=True)
class Reference:
    """What units are matched with, by parameter: `mean`, and of the same shapes `precision`, not negative."""

    mean: Mapping[str, Tensor]
    precision: Mapping[str, Tensor]


def costs(group: Group, weights: Mapping[str, Tensor], reference: Reference, known: Sequence[str] = ()) -> list[Tensor]:
    """Of each part [places, units]: sum_d P_id (w_ld - m_id)^2 for unit l at place i, in double precision.

    Args:
        known: the parameters that count; without them, all.
    """
    return [_part_cost(part, weights, reference, known) for part in group.parts]


def distance(weights: Mapping[str, Tensor], reference: Reference) -> float:
    """The whole network's: what assignments lower."""
    return sum(
        float((reference.precision[name] * (weights[name] - mean).double().square()).sum())
        for name, mean in reference.mean.items()
    )


def _part_cost(part: Part, weights: Mapping[str, Tensor], reference: Reference, known: Sequence[str]) -> Tensor:
    places = part.members[0].index.flatten(0, 1).shape[0]
    total = torch.zeros(places, places, dtype=torch.float64)
    for member in part.members:
        if known and member.parameter not in known:
            continue
        sources = (weights, reference.mean, reference.precision)
        w, m, p = (_units(source[member.parameter], member) for source in sources)
        pulled = p * m
        total += p @ w.square().T - 2 * pulled @ w.T + (pulled * m).sum(1, keepdim=True)
    return total


def _units(value: Tensor, member: Member) -> Tensor:
    """The values that belong to each unit [units, D]."""
    return value.movedim(member.dim, 0)[member.index.flatten(0, 1)].flatten(1).double()
