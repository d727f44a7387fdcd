"""Generators by name, and the hybrid loss by hand."""

import pytest
import torch

from mtmed.training.loader import collate
from mtmed.training.loss import head_losses, hybrid, present_heads
from mtmed.training.observe import observe, predict
from mtmed.training.seeds import generator
from tests import tiny

ALL = [True, True]


def test_a_generator_depends_on_its_parts_and_their_order():
    def first(*parts):
        return torch.rand(3, generator=generator(*parts)).tolist()

    assert first(0, 1, "alder") == first(0, 1, "alder") == first("0", "1", "alder")
    others = [first(*p) for p in [(0, 2, "alder"), (1, 1, "alder"), (0, 1, "birch"), (1, 0, "alder")]]
    assert len({tuple(x) for x in [first(0, 1, "alder"), *others]}) == 5
    assert first(0, 1, "alder", "train") == pytest.approx([0.93323, 0.56480, 0.55559], abs=1e-4)


def batch():
    some = [*tiny.studies(2), *tiny.studies(2, 1, {"malignancy": [True, False]})]
    return collate(some, tiny.HEADS)


def test_heads_without_labels_are_not_in_the_sum():
    assert present_heads(batch()) == [h.name for h in tiny.HEADS]
    only = collate(tiny.studies(2, labelled={"malignancy": ALL}), tiny.HEADS)
    assert present_heads(only) == ["malignancy"]


def test_a_head_is_averaged_over_its_labelled_images_and_weighed():
    net, given = tiny.network(), batch()
    outputs = net(given.images, present_heads(given))
    losses = head_losses(net, outputs, given)
    target, known = given.targets["malignancy"], given.labelled["malignancy"]
    nll = torch.nn.functional.binary_cross_entropy_with_logits(outputs["malignancy"], target, reduction="none")
    torch.testing.assert_close(losses["malignancy"], (nll[:2].mean(1).sum() + nll[2:, 0].sum()) / 4)
    masks = net.decoder("lesion_segmentation")
    alone = masks.losses(outputs["lesion_segmentation"][:2], given.targets["lesion_segmentation"][:2], known[:2])
    torch.testing.assert_close(losses["lesion_segmentation"], alone.mean())
    torch.testing.assert_close(hybrid(net, losses), sum(losses.values()))


def test_observations_are_of_labelled_studies_only():
    net = tiny.network()
    some = [*tiny.studies(3), *tiny.studies(2, 1, {"malignancy": ALL})]
    seen = observe(net, some, batch_size=2)
    assert {h: len(o) for h, (o, _) in seen.items()} == {
        "lesion_segmentation": 3,
        "lesion_detection": 3,
        "malignancy": 5,
        "lesion_width": 3,
    }
    assert seen["malignancy"][1] == [s.patient for s in some]
    assert observe(net, tiny.studies(labelled={})) == {}
    whole = observe(net, some, batch_size=32)["malignancy"][0]
    for a, b in zip(whole, seen["malignancy"][0], strict=True):
        assert a.probability == pytest.approx(b.probability, abs=1e-5)
        assert a.truth.tolist() == b.truth.tolist()


def test_predictions_are_probabilities_on_the_processor():
    images = batch().images
    found = predict(tiny.network().train(), images, [h.name for h in tiny.HEADS])
    masks, findings = found["lesion_segmentation"], found["malignancy"]
    assert masks.shape == (4, 2, tiny.SIZE, tiny.SIZE)
    for p in (masks, findings):
        assert 0 <= p.min() <= p.max() <= 1
        assert not p.requires_grad
    assert all(b.scores is not None for b in found["lesion_detection"])
