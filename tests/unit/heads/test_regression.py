"""Measurements: the scale that no site's data decide, what is unknown, errors by hand, and that a width is learnt."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtmed.heads.regression import (
    LARGEST,
    SCALE,
    Decoder,
    Observation,
    metrics,
    probabilities,
    symexp,
    symlog,
)
from mtmed.models.multitask import build
from mtmed.training.local import Span, train
from mtmed.training.observe import observe
from mtmed.types import HeadSpec, Study
from tests import tiny

K = 2
DECODER = Decoder(HeadSpec("h", "regression", ("a", "b"), ("ultrasound",)), [4, 8], 8)
KNOWN = torch.tensor([[True, False], [True, True], [False, False]])


def huber(residual):
    """By cases, in deviations: square up to one, linear beyond."""
    r = abs(residual) / SCALE
    return r * r / 2 if r < 1 else r - 1 / 2


def log(y):
    return math.copysign(math.log1p(abs(y)), y)


@given(st.floats(-1e6, 1e6, width=32))
def test_the_scale_has_an_inverse_and_keeps_order_and_sign(y):
    z = symlog(torch.tensor(y, dtype=torch.float64))
    assert float(symexp(z)) == pytest.approx(y, rel=1e-9, abs=1e-12)
    assert float(z) == pytest.approx(log(y))
    assert float(symlog(torch.tensor(y + 1.0, dtype=torch.float64))) > float(z)


def test_the_loss_is_a_mean_and_the_likelihood_a_sum_over_what_is_measured():
    outputs = torch.tensor([[1.0, 9.0], [2.0, 0.1], [3.0, 3.0]])
    target = torch.tensor([[12.0, 5.0], [7.0, -0.2], [1.0, 1.0]])
    by_hand = [
        [huber(z - log(y)) for z, y in zip(*row, strict=True)]
        for row in zip(outputs.tolist(), target.tolist(), strict=True)
    ]
    likelihoods = torch.tensor([by_hand[0][0], sum(by_hand[1]), 0.0])
    torch.testing.assert_close(DECODER.likelihoods(outputs, target, KNOWN), likelihoods)
    means = torch.tensor([by_hand[0][0], sum(by_hand[1]) / 2, 0.0])
    torch.testing.assert_close(DECODER.losses(outputs, target, KNOWN), SCALE * means)


@pytest.mark.parametrize("method", ["losses", "likelihoods"])
@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, -1.0, 1e30, math.nan, math.inf]))
def test_what_is_not_measured_adds_nothing_whatever_stands_there(method, seed, junk):
    rng = np.random.default_rng(seed)
    outputs = torch.tensor(rng.normal(2, 3, (4, K)), dtype=torch.float32, requires_grad=True)
    target = torch.tensor(rng.uniform(0, 80, (4, K)), dtype=torch.float32)
    known = torch.tensor(rng.random((4, K)) < 0.5)
    value = getattr(DECODER, method)(outputs, target, known)
    assert torch.equal(value, getattr(DECODER, method)(outputs, target.where(known, torch.tensor(junk)), known))
    value.sum().backward()
    assert value.isfinite().all()
    assert not value[~known.any(1)].any()
    assert not outputs.grad[~known].any()
    assert (outputs.grad[known] != 0).all()
    assert outputs.grad.abs().max() <= (1 if method == "losses" else 1 / SCALE)


def test_the_loss_falls_towards_the_measurement_and_is_never_wild():
    target, known = torch.tensor([[10.0, 80.0]]), torch.ones(1, K, dtype=torch.bool)
    values = [float(DECODER.losses(symlog(target * f), target, known)) for f in (20, 4, 1.5, 1.1, 1)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == 0
    assert values[0] < math.log(20)


def test_the_same_share_of_error_costs_the_same_at_every_size():
    target = torch.tensor([[50.0, 0.0], [500.0, 0.0]])
    small, large = DECODER.likelihoods(symlog(target * 1.2), target, torch.tensor([[True, False]] * 2)).tolist()
    assert small == pytest.approx(large, rel=0.05)


def test_predictions_are_in_the_unit_of_the_measurement_and_finite():
    assert torch.equal(
        DECODER.predict(symlog(torch.tensor([[0.0, -3.0]]))).round(decimals=4), torch.tensor([[0.0, -3.0]])
    )
    wild = DECODER.predict(torch.tensor([[1e4, -1e4]]))
    assert wild.isfinite().all()
    assert float(wild[0, 0]) == pytest.approx(math.expm1(LARGEST), rel=1e-5)


def test_decoder_observes_every_image():
    seen = DECODER.observe(torch.rand(3, K), torch.tensor([[4.0, 0.0], [7.0, 9.0], [0.0, 0.0]]), KNOWN)
    assert [o.true.tolist() for o in seen] == [[4.0, 0.0], [7.0, 9.0], [0.0, 0.0]]
    assert [o.labelled.tolist() for o in seen] == KNOWN.tolist()
    assert probabilities(seen) is None


def lin(p, t):
    """Lin's concordance, with the variances of a sample as torchmetrics has them in its denominator."""
    covariance = np.cov(p, t)
    return 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (p.mean() - t.mean()) ** 2)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 3))
def test_metrics_agree_with_their_formulas(seed, images, classes):
    rng = np.random.default_rng(seed)
    p, t = (rng.integers(0, 5, (images, classes)).astype(np.float32) for _ in range(2))  # ties are common
    known = rng.random((images, classes)) < 0.7
    found = metrics([Observation(*row) for row in zip(p, t, known, strict=True)])
    columns = [(p[known[:, k], k], t[known[:, k], k]) for k in range(classes) if known[:, k].any()]
    if not columns:
        assert found == {}
        return
    assert found["mae"] == pytest.approx(np.mean([np.abs(a - b).mean() for a, b in columns]))
    assert found["median_error"] == pytest.approx(np.mean([np.median(np.abs(a - b)) for a, b in columns]))
    varied = [lin(a, b) for a, b in columns if len(set(b)) > 1]
    assert ("concordance" in found) == bool(varied)
    if varied:
        assert found["concordance"] == pytest.approx(np.mean(varied), abs=1e-6)


def seen(predicted, true):
    rows = torch.tensor([predicted, true], dtype=torch.float32).T[:, :, None].numpy()
    return [Observation(p, t, np.ones(1, bool)) for p, t in rows]


def test_metrics_that_are_not_defined_are_absent_and_nobody_is_warned():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics([]) == {}
        assert metrics(seen([3], [5])) == {"mae": 2.0, "median_error": 2.0}
        assert "concordance" not in metrics(seen([3, 4], [5, 5]))
        assert metrics(seen([4, 4, 4], [3, 4, 5]))["concordance"] == 0
        assert metrics(seen([4, 4 + 1e-7, 4], [3, 4, 5]))["concordance"] == 0
    assert metrics(seen([3, 4, 5], [3, 4, 5]))["concordance"] == pytest.approx(1)
    assert metrics(seen([5, 4, 3], [3, 4, 5]))["concordance"] == pytest.approx(-1)


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_a_site_without_measurements_leaves_the_head_as_it_is(weight_decay):
    net = tiny.network()
    before = tiny.state(net)
    others = {h.name: [True, True] for h in tiny.HEADS if h.kind != "regression"} | {"lesion_width": [False, False]}
    losses = train(
        net, tiny.studies(labelled=others), tiny.training(weight_decay=weight_decay), Span(0, 1), tiny.seeds()
    )
    assert not {n for n in tiny.differing(before, tiny.state(net)) if ".lesion_width." in n}
    assert "lesion_width" not in losses


WIDTH = HeadSpec("size", "regression", ("width",), tiny.MODALITIES)


def square(number, split):
    """A bright square somewhere, and its width in pixels."""
    rng = np.random.default_rng([number, split == "train"])
    width = int(rng.integers(6, 40))
    x, y = rng.integers(0, tiny.SIZE - width, 2)
    image = rng.uniform(0, 0.3, (tiny.SIZE, tiny.SIZE)).astype(np.float32)
    image[y : y + width, x : x + width] += 0.6
    label = {"values": {"size": np.array([width], np.float32)}, "labelled": {"size": np.array([True])}}
    return Study(f"{split}{number}", f"p{number}", tiny.MODALITIES[0], split, image, **label)


def test_it_learns_the_width_of_a_square():
    training, test = [square(n, "train") for n in range(96)], [square(n, "test") for n in range(64)]
    # every fourth is not measured, and what is stored there is no label
    training[::4] = [
        replace(s, values={"size": np.full(1, 1e6, np.float32)}, labelled={"size": np.zeros(1, bool)})
        for s in training[::4]
    ]
    net = build(tiny.architecture(heads=[WIDTH]))
    spec = tiny.training(epochs=8, batch_size=16, augment=False)
    train(net, training, spec, Span(0, 1), tiny.seeds())
    found = metrics(observe(net, test)["size"][0])
    true = np.array([s.values["size"][0] for s in test])
    assert found["mae"] < 0.4 * np.abs(true - true.mean()).mean()
    assert found["concordance"] > 0.85
