"""Whatever the strides of an encoder are, every requested stride comes out, and depends on every map."""

import pytest
import torch
from torch import nn

from mtmed.heads._base import Pyramid, convolution, resize
from mtmed.registry import find, names
from mtmed.types import HeadSpec

SIZE, C = 64, 8
ENCODERS = {
    "pvt and swin": [4, 8, 16, 32],
    "resnet": [2, 4, 8, 16, 32],
    "visformer": [8, 16, 32],
    "plain transformer": [16, 16, 16],
    "fine transformer": [4],
    "coarse transformer": [32],
    "coarser than asked": [16, 64],
    "only fine": [2, 4],
}
SHIFTED = {"odd grid": [9, 4, 4]}  # maps of these widths
WIDTHS = {name: [SIZE // s for s in strides] for name, strides in ENCODERS.items()} | SHIFTED
every_encoder = pytest.mark.parametrize("widths", WIDTHS.values(), ids=list(WIDTHS))


def maps(widths):
    torch.manual_seed(0)
    return [torch.randn(2, 3 + i, w, w, requires_grad=True) for i, w in enumerate(widths)]


@every_encoder
@pytest.mark.parametrize("strides", [(4, 8, 16, 32), (8, 16, 32), (16,)])
def test_every_stride_comes_out(widths, strides):
    features = maps(widths)
    pyramid = Pyramid([f.shape[1] for f in features], C, strides)
    levels = pyramid(features, SIZE)
    assert [tuple(level.shape) for level in levels] == [(2, C, SIZE // s, SIZE // s) for s in strides]


@every_encoder
def test_every_map_and_every_parameter_is_used(widths):
    features = maps(widths)
    pyramid = Pyramid([f.shape[1] for f in features], C, (4, 8, 16, 32))
    levels = pyramid(features, SIZE)
    sum(level.square().sum() for level in levels).backward()
    assert all(f.grad is not None and f.grad.abs().sum() > 0 for f in features)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in pyramid.parameters())
    finest = torch.autograd.grad(pyramid(features, SIZE)[0].square().sum(), features)
    assert all(g.abs().sum() > 0 for g in finest), "the coarse maps reach the finest level"


@pytest.mark.parametrize(
    ("width", "level"), [(32, 0), (16, 0), (15, 1), (9, 1), (8, 1), (4, 2), (3, 3), (2, 3), (1, 3)]
)
def test_a_map_goes_to_the_finest_level_that_is_not_finer(width, level):
    assert Pyramid._level(width, [16, 8, 4, 2]) == level


def test_levels_add_from_coarse_to_fine():
    pyramid = Pyramid([1, 1], 1, (8, 16))
    pyramid.smooth = nn.ModuleList([nn.Identity(), nn.Identity()])
    for layer in pyramid.lateral:
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
    fine, coarse = torch.rand(1, 1, 4, 4), torch.rand(1, 1, 2, 2)
    levels = pyramid([fine, coarse], 32)
    torch.testing.assert_close(levels[1], coarse)
    torch.testing.assert_close(levels[0], fine + resize(coarse, 4))


def test_the_coarsest_map_is_made_smaller_for_a_level_that_has_none():
    pyramid = Pyramid([1, 1], 1, (8, 16, 32))
    pyramid.smooth = nn.ModuleList([nn.Identity()] * 3)
    fine, coarse = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 4, 4)
    coarsest = pyramid([fine, coarse], 64)[2]
    torch.testing.assert_close(coarsest, nn.functional.avg_pool2d(pyramid.lateral[1](coarse), 2))


def test_channels_permute():
    torch.manual_seed(0)
    layer, x, order = convolution(6), torch.randn(2, 6, 5, 5), torch.randperm(6)
    moved = convolution(6)
    with torch.no_grad():
        moved[0].weight.copy_(layer[0].weight[order][:, order])
        moved[0].bias.copy_(layer[0].bias[order])
    torch.testing.assert_close(moved(x[:, order]), layer(x)[:, order])


@pytest.mark.parametrize("kind", names("mtmed.heads"))
def test_every_norm_of_a_decoder_lets_channels_be_permuted(kind):
    decoder = find("mtmed.heads", kind, "head kind").Decoder(HeadSpec("h", kind, ("a",), ("mammography",)), [4], C)
    norms = [m for m in decoder.modules() if "Norm" in type(m).__name__]
    assert norms
    assert all(isinstance(m, nn.LayerNorm) or (isinstance(m, nn.GroupNorm) and m.num_groups == 1) for m in norms)


def test_resize_leaves_what_fits():
    x = torch.rand(1, 1, 4, 4)
    assert resize(x, 4) is x
    assert resize(x, 7).shape == (1, 1, 7, 7)
