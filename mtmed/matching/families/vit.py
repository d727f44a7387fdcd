"""Plain vision transformers, as timm has them: one stream from the patches to the last block."""

from __future__ import annotations

from typing import Any

from timm.layers import PatchEmbed
from timm.models._features import FeatureGetterNet
from timm.models.vision_transformer import VisionTransformer

from mtmed.matching.book import Axis, Book


def features(book: Book, layer: FeatureGetterNet, axis: Axis) -> Axis | list[Axis]:
    """The stream after some of the blocks; of other models nothing is known."""
    net: Any = layer.model
    ours = all(
        getattr(type(net), m, None) is getattr(VisionTransformer, m) for m in ("forward_intermediates", "_pos_embed")
    )
    if not ours or getattr(net, "rope", None) is not None:
        return book.leave(layer, axis)
    stream = book.walk(net.patch_embed, axis)
    for extra in ("pos_embed", "cls_token", "reg_token"):
        book.claim(stream, net, extra, 2)
    for inner in (net.norm_pre, *net.blocks):
        stream = book.walk(inner, stream)
    if layer.norm:
        stream = book.walk(net.norm, stream)
    return [stream] * len(layer.feature_info.channels())


def patches(book: Book, layer: PatchEmbed, axis: Axis) -> Axis:
    """One convolution."""
    return book.walk(layer.norm, book.walk(layer.proj, axis))


WALKS = {FeatureGetterNet: features, PatchEmbed: patches}
