"""The shared encoder: any timm model that gives a pyramid of features, or a plain vision transformer."""

from typing import Any

import timm
import torch
from timm.layers import DropPath
from torch import Tensor, nn

from mtmed.errors import UserError, unknown
from mtmed.models import mtmedformer  # noqa: F401  (registers its names with timm)

_REFUSALS = (TypeError, RuntimeError, AttributeError, NotImplementedError, AssertionError, ValueError)


def build(name: str, image_size: int) -> nn.Module:
    """An untrained timm encoder for one-channel images; `maps` runs it.

    Raises:
        UserError: timm has no such model (with the nearest name), or it gives no feature maps of this size.
    """
    if name not in timm.list_models():
        raise unknown_encoder(name)
    try:
        encoder = create(name, image_size)
        _switch_chance_off(encoder)
        _switch_scales_on(encoder)
        with torch.no_grad():
            maps(encoder.eval(), torch.zeros(1, 1, image_size, image_size))
    except _REFUSALS as error:
        raise _no_features(name, image_size, error) from error
    return encoder.train()


def maps(encoder: nn.Module, images: Tensor) -> list[Tensor]:
    """The encoder's maps [B,C,H,W] from fine to coarse; some timm models (Swin) put the channels last."""
    last = str(getattr(encoder, "output_fmt", "")).endswith("NHWC")
    return [m.permute(0, 3, 1, 2).contiguous() if last else m for m in encoder(images)]


@torch.no_grad()
def runs(encoder: nn.Module, size: int) -> bool:
    """Whether it gives maps of images of `size` x `size` pixels: plain ViTs and Swin are built for one size."""
    try:
        maps(encoder, next(encoder.parameters()).new_zeros(1, 1, size, size))
    except _REFUSALS:
        return False
    return True


def create(name: str, image_size: int, **more: Any) -> nn.Module:
    """timm's own encoder for one-channel images, with `more` of timm.create_model's options; from scratch without."""
    options: dict[str, Any] = {"features_only": True, "in_chans": 1, "pretrained": False, **more}
    try:
        return timm.create_model(name, img_size=image_size, **options)
    except TypeError:  # convolutional and most hierarchical models take any size, and refuse to be told one
        return timm.create_model(name, **options)


def _switch_chance_off(encoder: nn.Module) -> None:
    """No dropout, no stochastic depth: they draw from the global generator, which training must not touch."""
    for module in encoder.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
        if isinstance(module, DropPath):
            module.drop_prob = 0.0


def _switch_scales_on(encoder: nn.Module) -> None:
    """Layer scale (Touvron et al. 2021) starts at 1 and not near 0.

    The small start helps very deep networks in hundreds of epochs. A federation has a few dozen: until the scales
    have grown, the blocks are identities, and little but the patch embeddings learns (docs/decisions/0010).
    """
    for name, parameter in encoder.named_parameters():
        if name.rpartition(".")[2].startswith("gamma"):
            nn.init.ones_(parameter)


def unknown_encoder(name: str) -> UserError:
    """The error for a name that timm does not know."""
    nearest = timm.list_models(f"*{name.split('_')[0]}*")[:200] or ["pvt_v2_b0", "vit_tiny_patch16_224"]
    full = str(unknown("model.encoder", name, nearest))
    hint = full[full.rfind("; did you mean") :] if "did you mean" in full else "; for instance 'pvt_v2_b0'"
    return UserError(f"unknown model.encoder {name!r}: expected a name of timm.list_models(){hint}")


def _no_features(name: str, image_size: int, error: Exception) -> UserError:
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(
        f"model.encoder {name!r} gives no feature maps at image.size {image_size} ({first}): expected a timm "
        "model that works with features_only=True, such as 'pvt_v2_b0', 'swin_tiny_patch4_window7_224' or "
        "'vit_tiny_patch16_224'"
    )
