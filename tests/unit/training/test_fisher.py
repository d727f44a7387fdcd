"""The diagonal Fisher against one gradient per image, and its exact zeros."""

from dataclasses import replace

import pytest
import torch
from torch.func import functional_call, grad

from mtmed.training.fisher import precision
from mtmed.training.loader import collate
from tests import tiny

ALL = [True, True]
whatever_the_labels = pytest.mark.parametrize("labels", ["drawn", "given"])


def measured(studies, name="site", encoder="test_convnext", **changes):
    spec = tiny.training(**({"fisher_images": 64, "fisher_micro_batch": 1, "fisher_labels": "given"} | changes))
    return precision(tiny.network(encoder), studies, spec, tiny.seeds(name))


def image_by_image(studies, encoder="test_convnext"):
    """n_h times the mean squared gradient of each head, by torch.func, summed over heads."""
    net = tiny.network(encoder).eval()
    parameters = {n: p.detach() for n, p in net.named_parameters()}
    total = {n: torch.zeros_like(p) for n, p in parameters.items()}
    for head in tiny.HEADS:
        known = [s for s in studies if head.name in s.labelled and s.labelled[head.name].any()]
        for study in known:
            batch = collate([study], [head])

            def loss(values, batch=batch, head=head.name):
                outputs = functional_call(net, values, (batch.images, [head]))[head]
                return net.decoder(head).likelihoods(outputs, batch.targets[head], batch.labelled[head])[0]

            for name, g in grad(loss)(parameters).items():
                total[name] += g.square()  # n_h times the mean over n_h images
    return total


@pytest.mark.parametrize("encoder", ["test_convnext", "test_resnet"])
def test_it_is_the_mean_squared_gradient_image_by_image(encoder):
    studies = [*tiny.studies(3), *tiny.studies(2, 1, {"malignancy": [True, False], "lesion_detection": ALL})]
    found, expected = measured(studies, encoder=encoder), image_by_image(studies, encoder)
    assert found.keys() == {n for n, v in expected.items() if v.any()} | {n for n in found if not found[n].any()}
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-3 * float(expected[name].mean()))


@whatever_the_labels
def test_it_is_never_negative_and_finite(labels):
    found = measured(tiny.studies(), encoder="pvt_v2_b0", fisher_micro_batch=4, fisher_labels=labels)
    assert all((v >= 0).all() and v.isfinite().all() for v in found.values())
    assert all(v.dtype == torch.float32 for v in found.values())
    assert sum(bool(v.any()) for v in found.values()) > 0.9 * len(found)


def test_what_is_frozen_has_none_and_the_rest_is_the_same():
    net = tiny.network("test_convnext")
    net.encoder.requires_grad_(False)
    spec = tiny.training(fisher_images=64, fisher_micro_batch=1, fisher_labels="given")
    found = precision(net, tiny.studies(), spec, tiny.seeds("site"))
    whole = measured(tiny.studies())
    assert found.keys() == {n for n in whole if n.startswith("heads.")}
    assert all(torch.equal(found[name], whole[name]) for name in found)


@whatever_the_labels
@pytest.mark.parametrize("head", [h.name for h in tiny.HEADS])
def test_a_head_without_labels_has_none(head, labels):
    labelled = {h.name: ALL for h in tiny.HEADS} | {head: [False, False]}
    found = measured(tiny.studies(labelled=labelled), fisher_labels=labels)
    assert not [n for n in found if f"heads.{head}." in n]
    assert {n.split(".")[1] for n in found if n.startswith("heads.")} == {h.name for h in tiny.HEADS} - {head}
    assert [n for n in found if n.startswith("encoder.")]


def test_without_labels_there_is_none():
    assert measured(tiny.studies(labelled={})) == {}


@whatever_the_labels
@pytest.mark.parametrize("head", [h.name for h in tiny.HEADS if h.kind != "detection"])
def test_class_rows_without_labels_are_exactly_zero(head, labels):
    found = measured(tiny.studies(labelled={head: [True, False]}), fisher_labels=labels)
    rows = found[f"heads.{head}.predictor.weight"]
    assert not rows[1].any()
    assert rows[0].any()


def test_it_grows_with_the_number_of_labelled_images_not_of_those_that_were_used():
    two = tiny.studies(2, labelled={"malignancy": ALL})
    copies = [replace(s, study=f"{s.study}-{i}") for i in range(3) for s in two]
    one, three = measured(two), measured(copies)
    sampled = measured(copies, fisher_images=6)
    for name, value in one.items():
        torch.testing.assert_close(three[name], 3 * value, rtol=1e-4, atol=1e-9)
        torch.testing.assert_close(sampled[name], 3 * value, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("limit", [1, 3, 64])
def test_at_most_so_many_images_are_used(limit, monkeypatch):
    from mtmed.training import fisher

    used = []
    original = fisher.collate
    monkeypatch.setattr(fisher, "collate", lambda s, h: used.append(len(s)) or original(s, h))
    measured(tiny.studies(5, labelled={"malignancy": ALL}), fisher_images=limit, fisher_micro_batch=2)
    assert sum(used) == min(limit, 5)
    assert max(used) <= 2


def test_a_sample_is_scaled_to_all_images():
    """One image, eight copies: whichever is drawn, the precision is that of eight."""
    study = tiny.studies(2, labelled={"malignancy": ALL})[1]
    copies = [replace(study, study=str(i)) for i in range(8)]
    whole, sample = measured(copies), measured(copies, fisher_images=2)
    for name, value in whole.items():
        torch.testing.assert_close(sample[name], value, rtol=1e-4, atol=1e-9)


def test_a_micro_batch_of_equal_images_is_multiplied_back():
    study = tiny.studies(2, labelled={"malignancy": ALL})[1]
    copies = [replace(study, study=str(i)) for i in range(4)]
    alone, together = measured(copies), measured(copies, fisher_micro_batch=4)
    for name, value in alone.items():
        torch.testing.assert_close(together[name], 4 * value, rtol=1e-3, atol=1e-8)


@whatever_the_labels
def test_it_depends_on_its_generator_alone(labels):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = measured(tiny.studies(6), "a", fisher_images=2, fisher_labels=labels)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert not tiny.differing(one, measured(tiny.studies(6), "a", fisher_images=2, fisher_labels=labels))
    assert tiny.differing(one, measured(tiny.studies(6), "b", fisher_images=2, fisher_labels=labels))


def test_with_drawn_labels_it_is_the_curvature_of_the_model():
    """On average the generalised Gauss-Newton matrix: of a logit, p (1 - p) times its squared gradient."""
    studies, net = tiny.studies(2, labelled={"malignancy": [True, False]}), tiny.network("test_convnext").eval()
    name = "heads.malignancy.predictor.weight"
    weight = dict(net.named_parameters())[name]
    expected = torch.zeros_like(weight)
    for study in studies:
        logit = net(collate([study], [tiny.HEADS[2]]).images, ["malignancy"])["malignancy"][0, 0]
        expected += logit.sigmoid() * (1 - logit.sigmoid()) * torch.autograd.grad(logit, weight)[0].square()
    found = [measured(studies, str(i), fisher_labels="drawn")[name] for i in range(200)]
    torch.testing.assert_close(torch.stack(found).mean(0), expected.detach(), rtol=0.2, atol=1e-6)


def test_drawn_labels_are_the_models_and_not_the_sites():
    one = tiny.studies(4, labelled={"malignancy": ALL, "lesion_segmentation": ALL})
    flipped = [
        replace(
            s,
            values=s.values | {"malignancy": 1 - s.values["malignancy"]},
            masks=s.masks | {"lesion_segmentation": ~s.masks["lesion_segmentation"]},
        )
        for s in one
    ]
    assert not tiny.differing(measured(one, fisher_labels="drawn"), measured(flipped, fisher_labels="drawn"))
    assert tiny.differing(measured(one), measured(flipped))


def test_the_weights_do_not_change():
    net = tiny.network("test_resnet")
    before = tiny.state(net)
    precision(net, tiny.studies(), tiny.training(), tiny.seeds())
    assert not tiny.differing(before, tiny.state(net))
    assert all(p.grad is None for p in net.parameters())
