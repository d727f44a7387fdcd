"""Several models that answer together: the mean of what they predict (Lakshminarayanan et al. 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mtmed.errors import UserError
from mtmed.heads._base import Decoder
from mtmed.models.engine import Standard
from mtmed.models.multitask import MultiTask
from mtmed.types import Architecture


@dataclass(frozen=True)
class Member:
    """A model, and the heads that it has learnt: of the others its decoders know nothing."""

    net: MultiTask
    heads: frozenset[str]


class Ensemble:
    """An engine whose predictions are the members' means, head by head, over those that have learnt the head."""

    def __init__(self, members: Sequence[Member]) -> None:
        """All members have one architecture."""
        self.members = members

    @property
    def architecture(self) -> Architecture:
        """The members', with the heads that at least one of them has learnt."""
        whole = self.members[0].net.architecture
        learnt = {head for member in self.members for head in member.heads}
        heads = tuple(h for h in whole.heads if h.name in learnt)
        return Architecture(whole.encoder, whole.channels, whole.image_size, heads)

    def decoder(self, head: str) -> Decoder:
        """A decoder of the head, to observe predictions with."""
        return self._learnt(head)[0].decoder(head)

    def accepts(self, size: int) -> bool:
        """As an `Engine`."""
        return all(member.net.accepts(size) for member in self.members)

    def tensors(
        self, images: Tensor, heads: Sequence[str], standard: Standard | None = None
    ) -> dict[str, dict[str, Tensor]]:
        """As an `Engine`: means over members; boxes are weighed by their scores, as they are of the same places."""
        found: dict[str, list[dict[str, Tensor]]] = {head: [] for head in heads}
        for member in self.members:
            mine = [head for head in heads if head in member.heads]
            for head, parts in member.net.tensors(images, mine, standard).items():
                found[head].append(parts)
        for head in heads:
            if not found[head]:
                raise UserError(f"head {head!r} is learnt by no member of the ensemble: leave it out")
        return {head: _mean(parts) for head, parts in found.items()}

    def _learnt(self, head: str) -> list[MultiTask]:
        return [member.net for member in self.members if head in member.heads]


def _mean(found: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    means = {name: torch.stack([parts[name] for parts in found]).mean(0) for name in found[0]}
    if "boxes" in means:
        sure = torch.stack([parts["scores"].amax(-1, keepdim=True) for parts in found]).clamp(min=1e-6)
        means["boxes"] = (torch.stack([parts["boxes"] for parts in found]) * sure).sum(0) / sure.sum(0)
    return means
