"""Models of other libraries behind our interface: their own networks, and our losses, metrics and batches.

segmentation_models.pytorch gives an encoder-decoder with an auxiliary classification head, MONAI a segmentation
network. Neither has boxes. All masks are the channels of one output, all classes the outputs of one linear layer.
"""

from collections.abc import Callable, Iterable
from typing import Any

import segmentation_models_pytorch as smp
from monai.networks.nets import UNETR, SwinUNETR, UNet
from torch import Tensor, nn

from mtmed.heads import classification, segmentation
from mtmed.heads._base import Decoder
from mtmed.models.multitask import MultiTask, standardise
from mtmed.types import Architecture, HeadSpec

Body = Callable[[Architecture, int, int], nn.Module]  # architecture, channels of masks, number of classes
ENCODER = "resnet18"


class Outside(MultiTask):
    """Another library's network; `body(images)` gives masks [B,K,H,W], or masks and logits of classes [B,K]."""

    def __init__(self, architecture: Architecture, body: Body) -> None:
        nn.Module.__init__(self)
        self.architecture = architecture
        self.heads = nn.ModuleDict({spec.name: _GIVEN[spec.kind](spec) for spec in architecture.heads})
        self.slices = _slices(architecture.heads)
        self.body = body(architecture, *(_width(architecture, kind) for kind in _GIVEN))

    def forward(self, images: Tensor, heads: Iterable[str]) -> dict[str, Any]:
        """Logits of the named heads."""
        given = self.body(standardise(images))
        masks, classes = given if isinstance(given, tuple) else (given, None)
        by_kind = {"segmentation": masks, "classification": classes}
        return {name: by_kind[self.decoder(name).spec.kind][:, self.slices[name]] for name in heads}


class _Masks(segmentation.Decoder):
    """Loss, prediction and metrics of a segmentation head, without a decoder of its own."""

    def __init__(self, spec: HeadSpec) -> None:
        Decoder.__init__(self, spec)


class _Classes(classification.Decoder):
    """Loss, prediction and metrics of a classification head, without a decoder of its own."""

    def __init__(self, spec: HeadSpec) -> None:
        Decoder.__init__(self, spec)


_GIVEN: dict[str, Callable[[HeadSpec], nn.Module]] = {"segmentation": _Masks, "classification": _Classes}


def _slices(heads: Iterable[HeadSpec]) -> dict[str, slice]:
    """Which outputs of its kind are a head's."""
    used, slices = dict.fromkeys(_GIVEN, 0), {}
    for spec in heads:
        slices[spec.name] = slice(used[spec.kind], used[spec.kind] + len(spec.classes))
        used[spec.kind] += len(spec.classes)
    return slices


def _width(architecture: Architecture, kind: str) -> int:
    return sum(len(h.classes) for h in architecture.heads if h.kind == kind)


def _smp(family: Any) -> Body:
    def body(_: Architecture, masks: int, classes: int) -> nn.Module:
        auxiliary = {"classes": classes, "pooling": "avg", "dropout": None} if classes else None
        net: nn.Module = family(ENCODER, encoder_weights=None, in_channels=1, classes=masks, aux_params=auxiliary)
        return net

    return body


def _monai_unet(_: Architecture, masks: int, __: int) -> nn.Module:
    """MONAI's tutorials' residual U-Net."""
    return UNet(2, 1, masks, channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2), num_res_units=2)


def _monai_unetr(architecture: Architecture, masks: int, _: int) -> nn.Module:
    """A tiny vision transformer (192 wide, 3 heads) in UNETR."""
    size = (architecture.image_size, architecture.image_size)
    return UNETR(1, masks, size, 16, hidden_size=192, mlp_dim=768, num_heads=3, spatial_dims=2)


def _monai_swinunetr(_: Architecture, masks: int, __: int) -> nn.Module:
    return SwinUNETR(1, masks, spatial_dims=2, feature_size=12)


BODIES: dict[str, Body] = {
    "smp-unet": _smp(smp.Unet),
    "smp-fpn": _smp(smp.FPN),
    "monai-unet": _monai_unet,
    "monai-unetr": _monai_unetr,
    "monai-swinunetr": _monai_swinunetr,
}
KINDS = {name: {"segmentation"} if name.startswith("monai") else set(_GIVEN) for name in BODIES}
