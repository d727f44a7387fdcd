"""Findings of a whole image: AUROC by counting pairs, classes that are missing, pooling."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtmed.heads.classification import Decoder, Observation, metrics, probabilities
from mtmed.types import HeadSpec

K = 2
DECODER = Decoder(HeadSpec("h", "classification", ("a", "b"), ("mammography",)), [4, 8], 8)


def by_pairs(p, t):
    """The share of pairs in which the positive has the higher score; equal scores are half a pair."""
    pairs = [(a > b) + (a == b) / 2 for (a, b) in product(p[t], p[~t])]
    return np.mean(pairs)


def by_thresholds(p, t):
    """Precision at each recall step, from the highest score down; equal scores come together."""
    area, before = 0.0, 0.0
    for threshold in sorted(set(p), reverse=True):
        chosen = p >= threshold
        recall = (chosen & t).sum() / t.sum()
        area += (recall - before) * (chosen & t).sum() / chosen.sum()
        before = recall
    return area


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(1, 3))
def test_metrics_agree_with_counting(seed, images, classes):
    rng = np.random.default_rng(seed)
    p = rng.integers(0, 8, (images, classes)).astype(np.float32) / 8  # ties are common
    t, known = rng.random((images, classes)) < 0.4, rng.random((images, classes)) < 0.8
    found = metrics([Observation(*row) for row in zip(p, t, known, strict=True)])
    columns = [(p[known[:, k], k], t[known[:, k], k]) for k in range(classes)]
    both = [(a, b) for a, b in columns if b.any() and not b.all()]
    if not both:
        assert found == {}
    else:
        assert found["auroc"] == pytest.approx(np.mean([by_pairs(a, b) for a, b in both]), abs=1e-6)
        expected = np.mean([by_thresholds(a, b) for a, b in both])
        assert found["average_precision"] == pytest.approx(expected, abs=1e-6)


def test_a_class_that_nobody_labelled_is_not_in_the_mean():
    p = np.array([[0.9, 0.1], [0.2, 0.9]], np.float32)
    t, known = np.array([[True, True], [False, False]]), np.array([[True, False], [True, True]])
    found = metrics([Observation(*row) for row in zip(p, t, known, strict=True)])
    assert found == {"auroc": 1.0, "average_precision": 1.0}
    assert metrics([]) == {}


def test_only_labelled_classes_calibrate():
    rows = [([0.1, 0.2], [True, False], [True, False]), ([0.3, 0.4], [False, True], [True, True])]
    p, t = probabilities([Observation(*map(np.array, row)) for row in rows])
    assert p.tolist() == [0.1, 0.3, 0.4]
    assert t.tolist() == [True, False, True]
    assert probabilities([]) is None


def test_the_loss_is_the_cross_entropy_of_what_is_labelled():
    raw = torch.tensor([[0.3, -1.0], [2.0, 0.5], [1.0, 1.0]], requires_grad=True)
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    known = torch.tensor([[True, False], [True, True], [False, False]])
    value = DECODER.losses(raw, target, known)

    def nll(x, positive):
        return math.log1p(math.exp(-x if positive else x))

    expected = [nll(0.3, True), (nll(2.0, False) + nll(0.5, True)) / 2, 0.0]
    torch.testing.assert_close(value, torch.tensor(expected))
    value.sum().backward()
    assert not raw.grad[~known].any()
    assert (raw.grad[known] != 0).all()
    flipped = torch.where(known, target, 1 - target)
    assert torch.equal(value, DECODER.losses(raw, flipped, known))
    assert torch.equal(value, DECODER.likelihoods(raw, target, known))


def test_the_loss_falls_towards_perfect_logits():
    target, known = torch.tensor([[1.0, 0.0]]), torch.ones(1, K, dtype=torch.bool)
    values = [DECODER.losses(s * (2 * target - 1), target, known) for s in (-2, 0, 2, 30)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 1e-6


def test_what_an_image_shows_counts_and_not_where():
    features = [torch.randn(5, 4, 8, 8), torch.randn(5, 8, 4, 4)]
    scores = DECODER(features, 64)
    assert scores.shape == (5, K)
    torch.testing.assert_close(scores, DECODER([f.roll((1, 2), (2, 3)) for f in features], 64))
    assert torch.equal(DECODER.predict(scores), scores.sigmoid())


def test_one_place_in_a_large_map_changes_the_score():
    features = [torch.zeros(1, 4, 64, 64), torch.zeros(1, 8, 32, 32)]
    before = DECODER(features, 256)
    features[0][0, :, 40, 7] = torch.tensor([3.0, -2.0, 2.0, -3.0])
    assert (DECODER(features, 256) - before).abs().max() > 0.01


def test_decoder_observes_every_image():
    known = torch.tensor([[True, False], [True, True]])
    seen = DECODER.observe(torch.rand(2, K), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), known)
    assert [o.truth.tolist() for o in seen] == [[True, False], [False, True]]
    assert [o.labelled.tolist() for o in seen] == known.tolist()
