"""Models that answer together: means over those that have learnt a head."""

import pytest
import torch

from mtmed.errors import UserError
from mtmed.models.ensemble import Ensemble, Member
from mtmed.training.observe import observe, predict
from tests import tiny

HEADS = [h.name for h in tiny.HEADS]
IMAGES = torch.rand(2, 1, tiny.SIZE, tiny.SIZE, generator=torch.Generator().manual_seed(3))


def member(seed, heads=HEADS):
    return Member(tiny.network(seed=seed), frozenset(heads))


def test_one_model_says_what_it_says_alone():
    lone = member(1)
    said, alone = Ensemble([lone]).tensors(IMAGES, HEADS), lone.net.tensors(IMAGES, HEADS)
    for head in HEADS:
        for part, value in alone[head].items():
            torch.testing.assert_close(said[head][part], value)


def test_several_say_their_mean_and_boxes_by_their_scores():
    one, two = member(1), member(2)
    said = Ensemble([one, two]).tensors(IMAGES, HEADS)
    for head in HEADS:
        first, second = one.net.tensors(IMAGES, [head])[head], two.net.tensors(IMAGES, [head])[head]
        for part, value in said[head].items():
            weights = (first["scores"].amax(-1, True), second["scores"].amax(-1, True)) if part == "boxes" else (1, 1)
            expected = (first[part] * weights[0] + second[part] * weights[1]) / (weights[0] + weights[1])
            torch.testing.assert_close(value, expected)


def test_only_those_answer_that_have_learnt():
    one, two = member(1), member(2, ["malignancy"])
    said = Ensemble([one, two]).tensors(IMAGES, ["lesion_segmentation"])["lesion_segmentation"]
    torch.testing.assert_close(said, one.net.tensors(IMAGES, ["lesion_segmentation"])["lesion_segmentation"])
    only = Ensemble([two])
    assert [h.name for h in only.architecture.heads] == ["malignancy"]
    with pytest.raises(UserError, match="'lesion_segmentation' is learnt by no member"):
        only.tensors(IMAGES, ["lesion_segmentation"])


def test_it_is_observed_as_a_model_is():
    several = Ensemble([member(1), member(2)])
    found = observe(several, tiny.studies())
    assert found.keys() == set(HEADS)
    assert predict(several, IMAGES, HEADS).keys() == set(HEADS)
    assert several.accepts(tiny.SIZE)
