"""The decoder of heads that say something of the image as a whole: one number per class."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtmed.heads._base import Decoder
from mtmed.types import HeadSpec


class WholeImage(Decoder):
    """A number per class [B,K] from the mean and the maximum over each of the encoder's maps, projected to `channels`.

    The maximum lets a small lesion decide an image; the maps are not normalised before it, because what is
    normalised over an image no longer says how much of something it shows.
    """

    def __init__(self, spec: HeadSpec, features: Sequence[int], channels: int) -> None:
        super().__init__(spec)
        self.project = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in features)
        self.norm = nn.LayerNorm(2 * channels * len(features))
        self.predictor = nn.Linear(2 * channels * len(features), len(spec.classes))

    def forward(self, features: Sequence[Tensor], size: int) -> Tensor:  # noqa: ARG002
        maps = [F.gelu(layer(f)) for layer, f in zip(self.project, features, strict=True)]
        pooled = [pool for m in maps for pool in (m.mean((2, 3)), m.amax((2, 3)))]
        numbers: Tensor = self.predictor(self.norm(torch.cat(pooled, dim=1)))
        return numbers.float()
