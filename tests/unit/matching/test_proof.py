"""A wrong group is found out by the network itself."""

from dataclasses import replace

import pytest
import torch

from mtmed.matching.group import Group, Member, Part
from mtmed.matching.proof import proven
from mtmed.matching.symmetries import symmetries
from tests import tiny


@pytest.mark.parametrize("encoder", ["mtmedformer_tiny", "swin_tiny_patch4_window7_224", "test_resnet", "test_vit"])
def test_right_groups_are_kept(encoder):
    net = tiny.network(encoder)
    before = tiny.state(net)
    groups, unknown = symmetries(net).groups, symmetries(net).unknown
    assert unknown == ()
    assert proven(net, groups) == groups
    assert not tiny.differing(before, tiny.state(net))


def _without_its_last_member(group):
    (part,) = group.parts
    return replace(group, parts=(replace(part, members=part.members[:-1]),))


def test_wrong_groups_are_left_out():
    net = tiny.network("test_convnext")
    right = symmetries(net).groups
    classes = Member("heads.malignancy.predictor.bias", 0, torch.arange(2)[None, :, None])
    wrong = [_without_its_last_member(right[0]), Group("classes", 1, (Part(2, (classes,)),))]
    assert proven(net, [*wrong, *right[1:]]) == right[1:]
