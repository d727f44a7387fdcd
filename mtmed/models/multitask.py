"""The network: one encoder shared by all heads, one decoder per head."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import cache
from threading import Lock
from typing import Any, cast

import torch
from torch import Tensor, nn

from mtmed.heads._base import Decoder
from mtmed.models import encoder
from mtmed.models.engine import Standard
from mtmed.registry import find
from mtmed.types import Architecture

_building = Lock()


class MultiTask(nn.Module):
    """Encoder and decoders. Parameters are named `encoder.*` and `heads.<head>.*`."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = encoder.build(architecture.encoder, architecture.image_size)
        channels = cast(Any, self.encoder).feature_info.channels()
        self.heads = nn.ModuleDict(
            {
                spec.name: find("mtmed.heads", spec.kind, "head kind").Decoder(spec, channels, architecture.channels)
                for spec in architecture.heads
            }
        )
        self.to(memory_format=torch.channels_last)  # faster on processors, and the same function

    def forward(self, images: Tensor, heads: Iterable[str], standard: Standard | None = None) -> dict[str, Any]:
        """Outputs of the named heads for images [B,1,H,W] in 0..1 (H = W = the architecture's image size).

        `standard`: see `standardise`.
        """
        features = encoder.maps(self.encoder, standardise(images, standard))
        return {name: self.heads[name](features, images.shape[-1]) for name in heads}

    @torch.no_grad()
    def tensors(
        self, images: Tensor, heads: Sequence[str], standard: Standard | None = None
    ) -> dict[str, dict[str, Tensor]]:
        """As an `Engine`: what `Decoder.tensors` says of the named heads, on the processor."""
        self.eval()
        images = images.to(next(self.parameters()).device)
        outputs = self(images, heads) if standard is None else self(images, heads, standard)
        found = {head: self.decoder(head).tensors(outputs[head]) for head in heads}
        return {head: {part: values.cpu() for part, values in parts.items()} for head, parts in found.items()}

    def accepts(self, size: int) -> bool:
        """As an `Engine`: whether images may have `size` x `size` pixels."""
        return size == self.architecture.image_size or encoder.runs(self.encoder, size)

    def decoder(self, head: str) -> Decoder:
        """The decoder of a head, typed."""
        return cast(Decoder, self.heads[head])


def standardise(images: Tensor, standard: Standard | None = None) -> Tensor:
    """Zero mean and unit deviation per image: scanners differ in window and gain.

    `standard` replaces the images' own mean and deviation: a tile is seen as a part of its image.
    """
    mean, deviation = brightness(images) if standard is None else standard
    return (images - mean) / (deviation + 1e-3)


def brightness(images: Tensor) -> Standard:
    """The mean and the deviation of each image, [B,1,1,1]."""
    return images.mean((1, 2, 3), keepdim=True), images.std((1, 2, 3), keepdim=True)


def build(architecture: Architecture, seed: int = 0) -> MultiTask:
    """A network whose initial weights depend on `seed` alone.

    The same initialisation is copied, not drawn anew: building is slow, and layers draw from the global
    generator, which is put back as it was.
    """
    with _building:
        return deepcopy(_template(architecture, seed))


@cache
def _template(architecture: Architecture, seed: int) -> MultiTask:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MultiTask(architecture)


def head_of(parameter: str) -> str | None:
    """The head that owns a parameter, or None for the shared encoder.

    >>> head_of("heads.pneumonia.predictor.weight")
    'pneumonia'
    """
    parts = parameter.split(".", 2)
    return parts[1] if parts[0] == "heads" else None
