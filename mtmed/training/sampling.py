"""Which studies an epoch draws: each once, or the rarely labelled more often."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtmed.types import HeadSpec, Study


def order(studies: Sequence[Study], heads: Sequence[HeadSpec], sampling: str, generator: torch.Generator) -> list[int]:
    """Indices of as many draws as there are studies.

    `uniform` is a permutation. `balanced` draws with replacement, in proportion to `rarity`: where few films have masks
    and many a class, every head sees about as many labelled images as the others.
    """
    weights = rarity(studies, heads)
    if sampling == "uniform" or not weights.any():
        return torch.randperm(len(studies), generator=generator).tolist()
    return torch.multinomial(weights, len(studies), replacement=True, generator=generator).tolist()


def rarity(studies: Sequence[Study], heads: Sequence[HeadSpec]) -> Tensor:
    """[N]: for each study the sum of 1/n_h over the heads h that it is labelled for; 0 for a study without a label."""
    has = torch.tensor([[_labelled(study, head) for head in heads] for study in studies], dtype=torch.float64)
    return (has / has.sum(0).clamp(min=1)).sum(1)


def _labelled(study: Study, head: HeadSpec) -> bool:
    return study.modality in head.modalities and head.name in study.labelled and bool(study.labelled[head.name].any())
