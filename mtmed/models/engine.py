"""What predicts: the network, or an export of it in another runtime."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from torch import Tensor

from mtmed.heads._base import Decoder
from mtmed.types import Architecture

# Mean and deviation by which images are standardised: [B,1,1,1], or [] for all of a batch.
Standard: TypeAlias = tuple[Tensor, Tensor]


class Engine(Protocol):
    """All that prediction needs; `mtmed.training.observe.predict` makes predictions of the tensors."""

    @property
    def architecture(self) -> Architecture:
        """The network's: its heads, and the size of image that it was trained on."""

    def tensors(
        self, images: Tensor, heads: Sequence[str], standard: Standard | None = None
    ) -> dict[str, dict[str, Tensor]]:
        """Of each head what `Decoder.tensors` says, for images [B,1,S,S] in 0..1, on the processor.

        Args:
            standard: instead of each image's own.
        """

    def accepts(self, size: int) -> bool:
        """Whether images may have `size` x `size` pixels."""


class Model(Engine, Protocol):
    """An engine whose predictions can be held against labels."""

    def decoder(self, head: str) -> Decoder:
        """Of a head: it knows how predictions are observed."""
