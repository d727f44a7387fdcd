"""The network: one encoder shared by all heads, one decoder per head."""

from collections.abc import Iterable
from copy import deepcopy
from functools import cache
from threading import Lock
from typing import Any, cast

import torch
from torch import Tensor, nn

from mtmed.heads._base import Decoder
from mtmed.models import encoder
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

    def forward(self, images: Tensor, heads: Iterable[str]) -> dict[str, Any]:
        """Outputs of the named heads for images [B,1,H,W] in 0..1 (H = W = the architecture's image size)."""
        features = encoder.maps(self.encoder, standardise(images))
        return {name: self.heads[name](features, images.shape[-1]) for name in heads}

    def decoder(self, head: str) -> Decoder:
        """The decoder of a head, typed."""
        return cast(Decoder, self.heads[head])


def standardise(images: Tensor) -> Tensor:
    """Zero mean and unit deviation per image: scanners differ in window and gain."""
    mean = images.mean((1, 2, 3), keepdim=True)
    deviation = images.std((1, 2, 3), keepdim=True)
    return (images - mean) / (deviation + 1e-3)


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
