"""Groups of units: what moves, what stays, and that the function is the same."""

import pytest
import torch
from timm.models.vision_transformer import Attention
from torch import nn

from mtmed.matching.book import Book
from mtmed.matching.symmetries import _families, symmetries
from mtmed.models import mtmedformer
from tests import permuting, tiny

UNDERSTOOD = ("mtmedformer_tiny", "pvt_v2_b0", "test_convnext", "test_resnet", "test_vit")
PARTLY = ("edgenext_xx_small", "test_efficientnet")


@pytest.mark.parametrize("encoder", UNDERSTOOD + PARTLY)
def test_every_group_moves_parameters_and_not_the_function(encoder):
    net = permuting.network(encoder)
    before, says = tiny.state(net), permuting.answers(net)
    for group in symmetries(net).groups:
        state, _ = permuting.shuffled(net, group.name, groups=[group])
        assert tiny.differing(state, before), group.name
        _expect_same(says, permuting.answers(net, state), group.name)
        net.load_state_dict(before)


def _expect_same(says, after, what):
    for name, values in says.items():
        assert torch.allclose(after[name], values, rtol=1e-4, atol=1e-4 * float(values.abs().max())), (what, name)


@pytest.mark.parametrize("encoder", UNDERSTOOD)
def test_nothing_is_unknown_and_every_decoder_takes_the_encoders_streams(encoder):
    found = symmetries(permuting.network(encoder))
    assert found.unknown == ()
    held = [{m.parameter for part in g.parts for m in part.members} for g in found.groups]
    for head in permuting.NAMES:
        assert any(
            {"encoder", "heads"} <= {n.split(".")[0] for n in names if head in n or "encoder" in n} for names in held
        )


def test_the_default_encoders_groups():
    """Written down, so that a change of the network that loses one is seen."""
    net = permuting.network()
    groups = {group.name: group for group in symmetries(net).groups}
    blocks = [name for name in groups if name.endswith("attn.heads")]
    assert len(groups) == 37
    assert len(blocks) == 4
    heads = groups["encoder.stages_3.blocks.0.attn.heads"]
    assert (heads.blocks, [part.units for part in heads.parts]) == (6, [32, 32])
    stream = groups["encoder.stages_2.halve.0.weight[0]"]
    assert (stream.blocks, stream.parts[0].units) == (8, 16)
    touched = {m.parameter for m in stream.parts[0].members}
    assert {"encoder.stages_2.position.weight", "heads.malignancy.project.2.weight"} <= touched


@pytest.mark.parametrize("encoder", PARTLY)
def test_of_an_unknown_encoder_only_what_is_enclosed_moves(encoder):
    net = permuting.network(encoder)
    found = symmetries(net)
    assert found.unknown
    for group in found.groups:
        names = {m.parameter.split(".")[0] for part in group.parts for m in part.members}
        assert names == {"encoder"} or names == {"heads"}, group.name


class Mirrored(mtmedformer.Residual):
    """Does not do what its parent does."""

    def forward(self, x):
        return super().forward(x).flip(1)


class Tied(nn.Module):
    """One layer twice: what goes in has to be what comes out."""

    def __init__(self):
        super().__init__()
        self.first, self.layer, self.last = nn.Linear(1, 4), nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x):
        return self.last(self.layer(self.layer(self.first(x))))


def _book(net, walks=None):
    known, enclosed = _families()
    return Book(net, known | (walks or {}), enclosed)


def test_a_subclass_with_another_forward_is_unknown():
    net = nn.Sequential(nn.Conv2d(1, 16, 3), Mirrored(16, 16, 1), nn.Conv2d(16, 1, 3))
    book = _book(net)
    book.walk(net, book.axis(1, free=False)).root.free = False
    assert book.groups() == []
    assert book.unknown == {"Mirrored"}


def test_a_layer_from_an_axis_to_itself_stays():
    def tied(book, layer, axis):
        for one in (layer.first, layer.layer, layer.layer, layer.last):
            axis = book.walk(one, axis)
        return axis

    net = Tied()
    book = _book(net, {Tied: tied})
    book.walk(net, book.axis(1, free=False)).root.free = False
    assert book.groups() == []


def test_norms_of_different_groups_keep_a_stream_in_its_place():
    net = nn.Sequential(nn.Conv2d(1, 16, 3), nn.GroupNorm(8, 16), nn.GroupNorm(4, 16), nn.Conv2d(16, 1, 3))
    book = _book(net)
    book.walk(net, book.axis(1, free=False)).root.free = False
    assert book.groups() == []


def test_convolutions_in_groups_keep_their_channels():
    net = nn.Sequential(nn.Conv2d(1, 16, 3), nn.Conv2d(16, 16, 3, groups=4), nn.Conv2d(16, 1, 3))
    book = _book(net)
    book.walk(net, book.axis(1, free=False)).root.free = False
    assert book.groups() == []
    assert book.unknown == {"Conv2d"}


def test_attention_with_norms_of_its_own_is_unknown():
    net = nn.Sequential(nn.Linear(1, 16), Attention(16, 2, qk_norm=True, norm_layer=nn.LayerNorm), nn.Linear(16, 1))
    book = _book(net)
    book.walk(net, book.axis(1, free=False)).root.free = False
    assert book.groups() == []
    assert book.unknown == {"Attention"}
