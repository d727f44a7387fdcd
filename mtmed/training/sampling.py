"""Which studies an epoch draws: each once, or the rarely labelled more often."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtmed.types import HeadSpec, Study


def order(studies: Sequence[Study], heads: Sequence[HeadSpec], sampling: str, generator: torch.Generator) -> list[int]:
    """Indices of as many draws as there are studies.

    `uniform` is a permutation. `balanced` draws in proportion to `rarity`: where few films have masks and many a class,
    every head sees as many labelled images as the others. Where all studies are as rare, it is a permutation, too.
    """
    weights = rarity(studies, heads)
    shuffled = torch.randperm(len(studies), generator=generator)
    if sampling == "uniform" or not weights.any():
        return shuffled.tolist()
    return _systematic(weights, generator)[shuffled].tolist()


def _systematic(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Systematic resampling (Kitagawa 1996): how often an index comes differs by less than 1 from what is expected."""
    count = len(weights)
    edges = (weights / weights.sum() * count).cumsum(0)
    places = torch.arange(count) + torch.rand(1, generator=generator, dtype=torch.float64)
    return torch.searchsorted(edges, places.clamp(max=float(edges[-1]) * (1 - 1e-12)), right=True)


def rarity(studies: Sequence[Study], heads: Sequence[HeadSpec]) -> Tensor:
    """[N]: for each study the sum of 1/n_h over the heads h that it is labelled for; 0 for a study without a label."""
    has = torch.tensor([[_labelled(study, head) for head in heads] for study in studies], dtype=torch.float64)
    return (has / has.sum(0).clamp(min=1)).sum(1)


def _labelled(study: Study, head: HeadSpec) -> bool:
    return study.modality in head.modalities and study.knows(head.name)
