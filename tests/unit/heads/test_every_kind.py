"""What holds for every kind of head, and what makes adding one a single file."""

import inspect
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtmed.evaluation import glossary
from mtmed.evaluation.temperature import SCALED, scale
from mtmed.inference import Finding, _finding
from mtmed.models.multitask import build
from mtmed.registry import find, names
from mtmed.training import optimizer
from mtmed.types import Boxes, HeadSpec
from tests import tiny

KINDS = names("mtmed.heads")
B, SIZE, FEATURES = 3, 32, (4, 8)
every = pytest.mark.parametrize("kind", KINDS)


def module(kind):
    return find("mtmed.heads", kind, "head kind")


def head(kind, classes=("a", "b")):
    """A decoder and its outputs for a batch of noise."""
    torch.manual_seed(0)
    decoder = module(kind).Decoder(HeadSpec("h", kind, classes, ("ultrasound",)), FEATURES, 8)
    return decoder, decoder([torch.randn(B, c, w, w) for c, w in zip(FEATURES, (8, 4), strict=True)], SIZE)


def target(form, rng):
    """Random truth in the form of a kind's predictions."""
    if form == "masks":
        return torch.tensor(rng.random((B, 2, SIZE, SIZE)) < 0.3).float()
    if form == "boxes":
        corners = np.sort(rng.uniform(0, SIZE, (B, 2, 2)), axis=1).reshape(B, 1, 4)
        return [Boxes(torch.tensor(c, dtype=torch.float32), torch.tensor([int(rng.integers(2))])) for c in corners]
    return torch.tensor(rng.integers(0, 2, (B, 2))).float()


@every
@pytest.mark.parametrize("method", ["losses", "likelihoods"])
@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_a_batch_without_labels_leaves_the_parameters_untouched(kind, method, seed):
    decoder, outputs = head(kind)
    values = getattr(decoder, method)(
        outputs, target(module(kind).FORM, np.random.default_rng(seed)), torch.zeros(B, 2, dtype=torch.bool)
    )
    assert values.shape == (B,)
    assert not values.any()
    gradients = torch.autograd.grad(values.sum(), list(decoder.parameters()), allow_unused=True)
    assert not any(g.any() for g in gradients if g is not None)


@every
@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_images_count_one_by_one(kind, seed):
    """One value per image, whatever the others are: the Fisher information is taken image by image."""
    rng = np.random.default_rng(seed)
    decoder, outputs = head(kind)
    truth, known = target(module(kind).FORM, rng), torch.tensor(rng.random((B, 2)) < 0.6)
    whole = decoder.likelihoods(outputs, truth, known)
    known[1:] = False
    alone = decoder.likelihoods(outputs, truth, known)
    assert torch.equal(alone[0], whole[0])
    assert not alone[1:].any()


@every
def test_what_it_says_has_a_place(kind):
    decoder, outputs = head(kind)
    with torch.no_grad():
        prediction = decoder.eval().predict(outputs)[0]
    form = module(kind).FORM
    assert form in {f.name for f in fields(Finding)}
    found = _finding(prediction.detach() if isinstance(prediction, torch.Tensor) else prediction, decoder.spec)
    assert {f.name for f in fields(Finding) if getattr(found, f.name)} <= {form}
    assert form == "boxes" or list(getattr(found, form)) == ["a", "b"]


@every
def test_an_exported_graph_can_say_it(kind):
    """Its tensors have a row per image, and predictions are made of them without the decoder's parameters."""
    decoder, outputs = head(kind)
    with torch.no_grad():
        tensors, predicted = decoder.eval().tensors(outputs), decoder.predict(outputs)
    assert all(isinstance(t, torch.Tensor) and len(t) == B for t in tensors.values())
    finished = module(kind).Decoder.finish(tensors)
    assert len(finished) == len(predicted) == B
    for one, two in zip(finished, predicted, strict=True):
        pairs = (
            [(getattr(one, f), getattr(two, f)) for f in ("xyxy", "scores")] if isinstance(one, Boxes) else [(one, two)]
        )
        assert all(torch.equal(a, b) and len(a) for a, b in pairs)


@every
def test_every_metric_is_described_by_its_kind(kind):
    said = module(kind).METRICS
    assert module(kind).PRIMARY in said
    for name, metric in said.items():
        assert glossary.term(name) is metric
        assert len(metric.label) < 30
        assert metric.definition.endswith(".")
        assert ("Lower is better" in metric.definition) == (not metric.higher_is_better)
    assert set(module(kind).metrics(observed(kind))) <= set(said)
    assert module(kind).metrics([]) == {}
    assert module(kind).probabilities([]) is None


def observed(kind):
    decoder, outputs = head(kind)
    with torch.no_grad():
        prediction = decoder.predict(outputs)
        return decoder.observe(
            prediction, target(module(kind).FORM, np.random.default_rng(0)), torch.ones(B, 2, dtype=torch.bool)
        )


def test_no_two_kinds_mean_different_things_by_one_name():
    counted = Counter(name for kind in KINDS for name in module(kind).METRICS)
    assert max(counted.values()) == 1
    assert "calibration_error" not in counted


@every
def test_rows_of_classes_do_not_decay(kind):
    """A class without labels must not move; weight decay is by name (training/optimizer.py)."""
    spec = HeadSpec("h", kind, ("a", "b", "c"), tiny.MODALITIES)
    net = build(tiny.architecture(heads=[spec]))
    study = tiny.studies(1, labelled={"h": [True] * 3})
    decaying = {id(p) for p in optimizer.build(net, study, tiny.training()).param_groups[0]["params"]}
    rows = [p for n, p in net.named_parameters() if n.startswith("heads.") and p.ndim > 1 and len(p) == 3]
    assert rows
    assert not any(id(p) in decaying for p in rows)


@every
def test_its_file_says_what_it_is(kind):
    assert module(kind).__doc__.splitlines()[0].startswith(kind.capitalize())
    assert all(inspect.getdoc(getattr(module(kind), name)) for name in ("Decoder", "metrics", "probabilities"))


@every
def test_a_temperature_changes_probabilities_by_its_rule_and_nothing_else(kind):
    decoder, outputs = head(kind)
    before = decoder.predict(outputs)
    decoder.temperature = 2.5
    after = decoder.predict(outputs)
    if module(kind).FORM in SCALED:
        torch.testing.assert_close(
            after.double(), torch.from_numpy(scale(before.detach().numpy(), 2.5)), atol=1e-5, rtol=0
        )
        assert float((after - before).detach().abs().max()) > 0.01
    elif module(kind).FORM == "boxes":
        assert all(torch.equal(a.scores, b.scores) for a, b in zip(after, before, strict=True))
    else:
        assert torch.equal(after, before)


@every
def test_a_drawn_target_is_one_that_training_takes(kind):
    decoder, outputs = head(kind)
    truth, known = target(module(kind).FORM, np.random.default_rng(0)), torch.ones(B, 2, dtype=torch.bool)
    drawn = decoder.drawn(outputs, truth, torch.Generator().manual_seed(0))
    again = decoder.drawn(outputs, truth, torch.Generator().manual_seed(0))
    assert type(drawn) is type(truth)
    assert decoder.likelihoods(outputs, drawn, known).isfinite().all()
    if isinstance(drawn, torch.Tensor):
        assert (drawn.shape, drawn.dtype, drawn.requires_grad) == (truth.shape, truth.dtype, False)
        assert torch.equal(drawn, again)
        assert not torch.equal(drawn, truth)
