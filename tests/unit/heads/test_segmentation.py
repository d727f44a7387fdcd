"""Masks: a loss that knows what is labelled, and Dice against a count of pixels."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.segmentation import dice_score

from mtmed.heads import segmentation as module
from mtmed.heads.segmentation import Decoder, metrics, observe_mask, probabilities
from mtmed.types import HeadSpec

B, K, S = 3, 2, 16
DECODER = Decoder(HeadSpec("h", "segmentation", ("a", "b"), ("mammography",)), [4, 8], 8)
KNOWN = torch.ones(B, K, dtype=torch.bool)


def masks(seed=0):
    return (torch.rand(B, K, S, S, generator=torch.Generator().manual_seed(seed)) < 0.3).float()


def logits(seed=1):
    return torch.randn(B, K, S, S, generator=torch.Generator().manual_seed(seed))


def test_outputs_have_the_size_of_the_image():
    outputs = DECODER([torch.randn(B, 4, 8, 8), torch.randn(B, 8, 4, 4)], 32)
    assert outputs.shape == (B, K, 32, 32)
    assert (DECODER.predict(outputs) - outputs.sigmoid()).abs().max() == 0


@pytest.mark.parametrize("loss", [DECODER.losses, DECODER.likelihoods])
def test_the_loss_falls_towards_perfect_logits(loss):
    target = masks()
    values = [loss(scale * (2 * target - 1), target, KNOWN) for scale in (-5, 0, 1, 3, 10, 40)]
    for worse, better in pairwise(values):
        assert (better < worse).all()
    torch.testing.assert_close(values[-1], torch.zeros(B), atol=1e-4, rtol=0)


def test_the_loss_by_hand():
    target, raw = masks(), logits()
    p = raw.sigmoid().numpy().astype(float)
    t = target.numpy()
    cross_entropy = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean((2, 3))
    dice = 1 - (2 * (p * t).sum((2, 3)) + 1) / (p.sum((2, 3)) + t.sum((2, 3)) + 1)
    assert t.any((2, 3)).all()
    close = {"rtol": 1e-4, "atol": 1e-5, "check_dtype": False}
    expected = torch.from_numpy((cross_entropy + dice).mean(1))
    torch.testing.assert_close(DECODER.losses(raw, target, KNOWN), expected, **close)
    places = S * S / module.STRIDE**2  # the likelihood is the whole mask's
    nll = torch.from_numpy(cross_entropy.mean(1) * places)
    torch.testing.assert_close(DECODER.likelihoods(raw, target, KNOWN), nll, **close)


@pytest.mark.parametrize("loss", [DECODER.losses, DECODER.likelihoods])
def test_what_is_not_labelled_adds_exactly_nothing(loss):
    known = torch.tensor([[True, False], [False, True], [False, False]])
    raw = logits().requires_grad_()
    value = loss(raw, masks(), known)
    value.sum().backward()
    assert value[2] == 0
    assert not raw.grad[~known].any()
    assert (raw.grad[known].abs().amax((1, 2)) > 0).all()
    other = torch.where(known[:, :, None, None], masks(), 1 - masks())
    assert torch.equal(value, loss(raw, other, known))
    alone = loss(raw[:1, :1], masks()[:1, :1], known[:1, :1])
    torch.testing.assert_close(value[:1], alone)


def test_an_empty_mask_predicted_empty_costs_nothing():
    empty = torch.zeros(B, K, S, S)
    torch.testing.assert_close(DECODER.losses(empty - 40, empty, KNOWN), torch.zeros(B), atol=1e-6, rtol=0)
    assert (DECODER.losses(empty + 40, empty, KNOWN) > 1).all()


def test_an_empty_mask_has_no_dice():
    empty = torch.zeros(B, K, S, S)
    places = S * S / module.STRIDE**2
    torch.testing.assert_close(
        DECODER.losses(logits(), empty, KNOWN) * places, DECODER.likelihoods(logits(), empty, KNOWN)
    )


def test_an_untrained_head_expects_little():
    outputs = Decoder(DECODER.spec, [4, 8], 8)([torch.zeros(B, 4, 8, 8), torch.zeros(B, 8, 4, 4)], 32)
    assert outputs.sigmoid().mean() < 0.3


def observed(predicted, true, labelled):
    return [observe_mask(p, t, k) for p, t, k in zip(predicted, true, labelled, strict=True)]


def by_counting(predicted, true, labelled):
    """The three metrics, image by image and pixel by pixel."""
    found = {}
    for k in range(predicted.shape[1]):
        dice, alarms, both, either = [], [], 0, 0
        for p, t, known in zip(predicted[:, k] > 0.5, true[:, k] > 0, labelled[:, k], strict=True):
            if not known:
                continue
            both, either = both + int((p & t).sum()), either + int(p.sum() + t.sum())
            if t.any():
                dice.append(2 * int((p & t).sum()) / int(p.sum() + t.sum()))
            else:
                alarms.append(bool(p.any()))
        if dice:
            found.setdefault("dice", []).append(np.mean(dice))
            found.setdefault("dice_pooled", []).append(2 * both / either)
        if alarms:
            found.setdefault("false_positive_images", []).append(np.mean(alarms))
    return {name: np.mean(values) for name, values in found.items()}


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 3))
def test_metrics_agree_with_counting(seed, images, classes):
    rng = np.random.default_rng(seed)
    predicted = rng.random((images, classes, 6, 6)) * rng.choice([0.4, 1], (images, classes, 1, 1))
    true = (rng.random((images, classes, 6, 6)) < 0.3) & rng.choice([False, True], (images, classes, 1, 1))
    labelled = rng.random((images, classes)) < 0.7
    arrays = torch.from_numpy(predicted).float(), torch.from_numpy(true).float(), torch.from_numpy(labelled)
    assert metrics(observed(*arrays)) == pytest.approx(by_counting(predicted, true, labelled))


def test_dice_agrees_with_torchmetrics():
    predicted, true = torch.rand(B, K, S, S), masks()
    expected = dice_score((predicted > 0.5).int(), true.int(), K, average="none", aggregation_level="samplewise")
    assert metrics(observed(predicted, true, KNOWN))["dice"] == pytest.approx(float(expected.mean()))


def test_images_without_a_lesion_have_no_dice_but_alarms():
    empty = torch.zeros(3, 1, S, S)
    predicted = empty.clone()
    predicted[0, 0, 3, 3] = 0.51
    predicted[1, 0, 3, 3] = 0.5  # not above the threshold
    known = torch.ones(3, 1, dtype=torch.bool)
    assert metrics(observed(predicted, empty, known)) == {"false_positive_images": pytest.approx(1 / 3)}
    assert metrics([]) == {}
    assert metrics(observed(predicted, empty, ~known)) == {}


def test_only_labelled_pixels_calibrate():
    known = torch.tensor([[True, False], [False, False], [True, True]])
    predicted, true = torch.rand(B, K, S, S), masks()
    p, t = probabilities(observed(predicted, true, known))
    stride = module.STRIDE
    assert len(p) == len(t) == 3 * (S // stride) ** 2
    expected = torch.cat([predicted[0, 0], predicted[2, 0], predicted[2, 1]])[::stride, ::stride]
    assert np.array_equal(p, expected.flatten().numpy())
    assert t.dtype == bool
    assert probabilities([]) is None


def test_decoder_observes_every_image():
    known = torch.tensor([[True, False], [False, False], [True, True]])
    seen = DECODER.observe(torch.rand(B, K, S, S), masks(), known)
    assert [o.labelled.tolist() for o in seen] == known.tolist()
    assert [o.true_positive + o.false_negative for o in seen] == pytest.approx(masks().sum((2, 3)).numpy())


def test_masks_are_drawn_place_by_place():
    """A place is labelled as a whole where the model says the same of all its pixels, and as often as it says."""
    outputs = torch.full((40, 1, 10, 10), 1.0)
    drawn = DECODER.drawn(outputs, outputs, torch.Generator().manual_seed(0))
    for rows, columns in ((slice(0, 4), slice(4, 8)), (slice(8, 10), slice(8, 10))):
        place = drawn[:, 0, rows, columns].flatten(1)
        assert torch.equal(place, place[:, :1].expand_as(place))
    assert abs(float(drawn.mean()) - float(torch.tensor(1.0).sigmoid())) < 0.05
