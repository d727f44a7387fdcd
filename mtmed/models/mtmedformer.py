"""The default encoder, `mtmedformer_tiny`: residual convolutions on fine maps, a vision transformer on coarse ones.

On few images and from scratch, convolutions learn texture where a transformer does not yet (Xiao et al. 2021, "Early
convolutions help transformers see better"; Dai et al. 2021, CoAtNet), and attention over a whole image costs next to
nothing once the map is coarse. Norms are of groups of channels, not of the batch, because sites would pool statistics
of different scanners; standardised kernels (Qiao et al. 2019) then make up for what batch norm gives
(docs/decisions/0025). Its parts are timm's, with which it is registered: it is found by its name as any other encoder.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from timm.layers import GroupNorm, StdConv2d
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import Block
from torch import Tensor, nn

STEM = 4  # pixels each way of a place of the finest map
HEAD = 32  # channels of an attention head
TINY: dict[str, Any] = {"channels": (32, 64, 128, 192), "depths": (2, 2, 3, 1)}
norm = partial(GroupNorm, num_groups=8)


class Residual(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016).

    Args:
        zero: whether it starts as its shortcut (Goyal et al. 2017, section 5.1).
    """

    def __init__(self, before: int, channels: int, stride: int, zero: bool = False) -> None:
        super().__init__()
        self.first = nn.Sequential(_convolution(before, channels, 3, stride), nn.ReLU())
        self.second = _convolution(channels, channels, 3)
        if zero:
            nn.init.zeros_(cast(Any, self.second[1]).weight)
        self.shortcut = nn.Sequential()
        if before != channels:
            self.shortcut.extend([nn.AvgPool2d(stride, ceil_mode=True), _convolution(before, channels, 1)])
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.shortcut(x) + self.second(self.first(x)))


class Transformer(nn.Module):
    """Halves the map and runs transformer blocks (Dosovitskiy et al. 2021) on its places.

    A depthwise convolution says where they are (Chu et al. 2021, conditional positions), at any image size.
    """

    def __init__(self, before: int, channels: int, depth: int) -> None:
        super().__init__()
        self.halve = _convolution(before, channels, 3, stride=2)
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.blocks = nn.Sequential(*(Block(channels, channels // HEAD, qkv_bias=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        halved = self.halve(x)
        placed = halved + self.position(halved)
        tokens = self.norm(self.blocks(placed.flatten(2).transpose(1, 2)))
        return tokens.transpose(1, 2).unflatten(2, placed.shape[2:])


class MTMedFormer(nn.Module):
    """Images [B,C,H,W] to the map of stride 32; timm takes those of 4, 8 and 16 as well.

    Args:
        channels: of each stage, a multiple of 32.
        depths: residual blocks of the first two stages, transformer blocks of the others.
        zero_init_last: whether residual blocks start as their shortcuts.
    """

    def __init__(
        self,
        channels: Sequence[int],
        depths: Sequence[int],
        in_chans: int = 3,
        zero_init_last: bool = False,
        **_: Any,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(in_chans, channels[0] // 2, 3, stride=2),
            nn.ReLU(),
            _convolution(channels[0] // 2, channels[0], 3, stride=2),
            nn.ReLU(),
        )
        one, two, three, four = channels
        self.stages = nn.Sequential(
            _residuals(one, one, depths[0], zero_init_last),
            _residuals(one, two, depths[1], zero_init_last),
            Transformer(two, three, depths[2]),
            Transformer(three, four, depths[3]),
        )
        self.feature_info = [
            {"num_chs": width, "reduction": STEM * 2**number, "module": f"stages.{number}"}
            for number, width in enumerate(channels)
        ]

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(self.stem(images))


# timm reads it
default_cfgs = generate_default_cfgs(
    {name: {"first_conv": "stem.0.0", "num_classes": 0} for name in ("mtmedformer_tiny", "mtmedformer_tiny_zero")}
)


@register_model
def mtmedformer_tiny(pretrained: bool = False, **options: Any) -> nn.Module:
    """1.5 million parameters, for images of about 100 pixels and a few cores."""
    return _built("mtmedformer_tiny", pretrained, **TINY, **options)


@register_model
def mtmedformer_tiny_zero(pretrained: bool = False, **options: Any) -> nn.Module:
    """The same network from another start: its residual blocks start as their shortcuts (docs/decisions/0025)."""
    return _built("mtmedformer_tiny_zero", pretrained, zero_init_last=True, **TINY, **options)


def _built(name: str, pretrained: bool, **options: Any) -> nn.Module:
    stages = {"out_indices": (0, 1, 2, 3), "flatten_sequential": True}
    net: nn.Module = build_model_with_cfg(MTMedFormer, name, pretrained, feature_cfg=stages, **options)
    return net


def _residuals(before: int, channels: int, depth: int, zero: bool) -> nn.Sequential:
    """Residual blocks; the first halves the map where the channels change."""
    first = Residual(before, channels, 1 if before == channels else 2, zero)
    return nn.Sequential(first, *(Residual(channels, channels, 1, zero) for _ in range(1, depth)))


def _convolution(before: int, channels: int, width: int, stride: int = 1) -> nn.Sequential:
    kernel = StdConv2d(before, channels, width, stride=stride, padding=width // 2, bias=False)
    return nn.Sequential(kernel, norm(channels))
