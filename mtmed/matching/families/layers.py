"""The layers that all networks are made of."""

from __future__ import annotations

from typing import Any

import timm.layers
from torch import nn

from mtmed.matching.book import Axis, Book


def same(book: Book, layer: nn.Module, axis: Axis) -> Axis:  # noqa: ARG001
    """Every channel by itself, and nothing is learnt."""
    return axis


def sequence(book: Book, layer: nn.Sequential, axis: Axis) -> Axis:
    """One after the other."""
    for inner in layer:
        axis = book.walk(inner, axis)
    return axis


def linear(book: Book, layer: nn.Linear | nn.Conv2d, axis: Axis) -> Axis:
    """From all channels to all."""
    book.claim(axis, layer, "weight", 1)
    return book.written(layer)


def convolution(book: Book, layer: nn.Conv2d, axis: Axis) -> Axis:
    """From all channels to all, or from each to itself; between groups of several, they stay."""
    if layer.groups == 1:
        return linear(book, layer, axis)
    if not layer.groups == layer.in_channels == layer.out_channels:
        return book.leave(layer, axis)
    book.claim(axis, layer, "weight", 0)
    book.claim(axis, layer, "bias", 0)
    return axis


def norm(book: Book, layer: Any, axis: Axis) -> Axis:
    """A scale and a shift for every channel; statistics of it alone, or of all channels."""
    for parameter in ("weight", "bias", "running_mean", "running_var"):
        book.claim(axis, layer, parameter, 0)
    return axis


def group_norm(book: Book, layer: nn.GroupNorm, axis: Axis) -> Axis:
    """Statistics of blocks of channels."""
    book.block(axis, layer.num_groups)
    return norm(book, layer, axis)


def layer_norm(book: Book, layer: nn.LayerNorm, axis: Axis) -> Axis:
    """Statistics of all channels, if it is channels that it normalises over."""
    return norm(book, layer, axis) if len(layer.normalized_shape) == 1 else book.leave(layer, axis)


_SAME = (nn.Identity, nn.Dropout, nn.ReLU, nn.GELU, nn.SiLU, nn.AvgPool2d, nn.MaxPool2d)
_SAME_OF_TIMM = (timm.layers.DropPath, timm.layers.GELU, timm.layers.GELUTanh)
WALKS = {
    **dict.fromkeys((*_SAME, *_SAME_OF_TIMM), same),
    nn.Sequential: sequence,
    nn.Linear: linear,
    nn.Conv2d: convolution,
    timm.layers.StdConv2d: convolution,
    **dict.fromkeys((nn.GroupNorm, timm.layers.GroupNorm), group_norm),
    **dict.fromkeys((nn.LayerNorm, timm.layers.LayerNorm, timm.layers.LayerNorm2d), layer_norm),
    nn.BatchNorm2d: norm,
}
