"""What every kind of head has in common: the decoder's interface and its feature pyramid."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mtmed.types import HeadSpec, Target


class Decoder(nn.Module, ABC):
    """One head's own parameters: from the encoder's features to predictions and their loss.

    `features` are the encoder's maps [B,C_l,H_l,W_l] from fine to coarse. `outputs` is what `forward` returns;
    only this class looks inside. Losses are per image, so that unlabelled images can be left out and the
    Fisher information be taken image by image.

    `temperature` divides the logits that become probabilities (Guo et al. 2017): `predict` of kinds that give
    probabilities uses it, training does not. It is no parameter: it is found on validation patients, after training.
    """

    temperature = 1.0

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.spec = spec

    @abstractmethod
    def forward(self, features: Sequence[Tensor], size: int) -> Any:
        """Outputs for images of `size` x `size` pixels."""

    @abstractmethod
    def losses(self, outputs: Any, target: Target, labelled: Tensor) -> Tensor:
        """The training loss of each image [B]; classes that are not labelled [B,K] add nothing."""

    @abstractmethod
    def likelihoods(self, outputs: Any, target: Target, labelled: Tensor) -> Tensor:
        """The unweighted negative log-likelihood of each image [B], for the Fisher information.

        Summed over what the image says independently, not averaged: it decides how much a site's labels weigh
        beside those of other heads (docs/decisions/0012).
        """

    def drawn(self, outputs: Any, target: Target, generator: Generator) -> Target:  # noqa: ARG002
        """A target drawn from what the outputs say, for the Fisher information of the model.

        A head whose loss is of no distribution from which could be drawn gives the true one.

        Args:
            generator: on the CPU.
        """
        return target

    @abstractmethod
    def predict(self, outputs: Any) -> Any:
        """Predictions: probabilities [B,K,H,W] or [B,K], measurements [B,K], or B `Boxes` with scores."""

    def tensors(self, outputs: Any) -> dict[str, Tensor]:
        """`predict` as far as tensors with B rows can say it, by name; "" where it is but one.

        An exported graph gives these, and `finish` makes predictions of them wherever the graph ran.
        """
        return {"": self.predict(outputs)}

    @staticmethod
    def finish(tensors: Mapping[str, Tensor]) -> Any:
        """The predictions, from `tensors`: what depends on values, not on shapes, such as a choice of boxes."""
        return tensors[""]

    @abstractmethod
    def observe(self, prediction: Any, target: Target, labelled: Tensor) -> list[Any]:
        """What metrics need of each image of a batch: B observations."""


class Pyramid(nn.Module):
    """A feature pyramid (Lin et al. 2017): lateral 1x1 convolutions, a top-down sum, one smoothing convolution.

    Gives one map [B,C,size/stride,size/stride] per stride, whatever the strides of the encoder are: a plain
    vision transformer has one stride only, and its maps are resized (Li et al. 2022, the simple pyramid).
    """

    def __init__(self, features: Sequence[int], channels: int, strides: Sequence[int]) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in features)
        self.smooth = nn.ModuleList(convolution(channels) for _ in strides)

    def forward(self, features: Sequence[Tensor], size: int) -> list[Tensor]:
        """Maps from the finest to the coarsest of the strides."""
        grids = [max(1, size // stride) for stride in self.strides]
        laterals = [layer(f) for layer, f in zip(self.lateral, features, strict=True)]
        levels: list[list[Tensor]] = [[] for _ in grids]
        for lateral in laterals:
            levels[self._level(lateral.shape[-1], grids)].append(lateral)
        levels[-1] = levels[-1] or laterals[-1:]  # a plain transformer has no map so coarse: shrink its last
        merged: list[Tensor] = []
        for grid, level in zip(reversed(grids), reversed(levels), strict=True):
            parts = [resize(x, grid) for x in [*level, *merged[:1]]]
            merged.insert(0, sum(parts[1:], parts[0]))
        return [smooth(m) for smooth, m in zip(self.smooth, merged, strict=True)]

    @staticmethod
    def _level(width: int, grids: Sequence[int]) -> int:
        """The finest level that is not finer than the map (the coarsest for maps that are coarser still)."""
        return next((i for i, grid in enumerate(grids) if grid <= width), len(grids) - 1)


def over_labelled(values: Tensor, labelled: Tensor) -> Tensor:
    """Mean of [B,K] over the labelled classes; 0 for an image without any."""
    known = labelled.to(values.dtype)
    return (values * known).sum(1) / known.sum(1).clamp(min=1)


def convolution(channels: int) -> nn.Sequential:
    """3x3 convolution, GroupNorm with one group (so that channels can be permuted), GELU."""
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(1, channels), nn.GELU())


def resize(x: Tensor, width: int) -> Tensor:
    """Bilinear resize of [B,C,H,W] to `width` x `width`; the identity where nothing changes."""
    if x.shape[-1] == width:
        return x
    return F.interpolate(x, size=(width, width), mode="bilinear", align_corners=False)
