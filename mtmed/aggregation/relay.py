"""Sites in turn: what the next one starts from, and what a chain of sites sends as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mtmed.aggregation.piece import part
from mtmed.types import GlobalModel, SiteUpdate

if TYPE_CHECKING:
    from torch import Tensor


def handed_on(model: GlobalModel, update: SiteUpdate, before: SiteUpdate | None = None) -> GlobalModel:
    """What the next site starts from: yesterday's posterior is today's prior.

    Args:
        model: what the site started from; its precision is that of all sites.
        before: what the site sent in the last round, whose precision the new one replaces.
    """
    old = {} if before is None else before.precision
    sums = dict(model.precision)
    for name, value in update.precision.items():
        known = sums.get(name)
        others = 0.0 if known is None else (known - old[name].float()).clamp(min=0) if name in old else known
        sums[name] = value.float() + others
    return replace(model, mean=update.mean, precision=sums)


def as_one(updates: Sequence[SiteUpdate]) -> SiteUpdate:
    """What a chain sends: the values that its last site left, and what all its sites know and have."""
    if len(updates) == 1:
        return updates[0]
    heads = {head for u in updates for head in u.labelled}
    labelled = {head: sum(u.labelled.get(head, 0) for u in updates) for head in sorted(heads)}
    examples = sum(u.examples for u in updates)
    return replace(
        updates[-1],
        site=chain_name([u.site for u in updates]),
        precision=summed([u.precision for u in updates]),
        gradient=mean_gradient(updates),
        labelled=labelled,
        examples=examples,
        metrics={},
    )


def chain_name(sites: Sequence[str]) -> str:
    """What a chain is called: a site by its name, several by the first of them.

    >>> chain_name(["alder", "birch", "cedar"])
    'alder+2'
    """
    return sites[0] if len(sites) == 1 else f"{sites[0]}+{len(sites) - 1}"


def mean_gradient(updates: Sequence[SiteUpdate]) -> dict[str, Tensor]:
    """The sites' mean gradients, weighed by the examples that reach a parameter, over the sites that have one."""
    sums: dict[str, Tensor] = {}
    weights: dict[str, float] = {}
    for update in updates:
        for name, value in update.gradient.items():
            head = part(name)
            weight = float(update.examples if head == "encoder" else update.labelled.get(head, 0))
            pulled = weight * value.float()
            sums[name] = sums[name] + pulled if name in sums else pulled
            weights[name] = weights.get(name, 0.0) + weight
    return {name: total / weights[name] for name, total in sums.items() if weights[name] > 0}


def summed(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Sums by name, in single precision, over the parts that have the name."""
    import torch

    total: dict[str, Tensor] = {}
    for tensors in parts:
        for name, value in tensors.items():
            if name in total:
                total[name] += value
            else:
                total[name] = value.to(torch.float32, copy=True)  # never the part's own
    return total
