"""As `labels`, but only sites with masks move the encoder: what is left of a federation for segmentation alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmed.aggregation.merges import _base
from mtmed.aggregation.piece import Piece

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Merge(_base.Weighted):
    """The encoder by labelled masks; where no site has one, by all examples."""

    def weights(self, piece: Piece) -> Tensor:
        if piece.part != "encoder":
            return piece.reach
        drawn = [piece.labelled_for(head) for head, kind in piece.kinds.items() if kind == "segmentation"]
        masks = sum(drawn, start=piece.reach * 0)
        return masks if bool(masks.any()) else piece.reach
