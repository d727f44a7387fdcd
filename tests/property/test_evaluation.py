"""Laws of the evaluation: what adds up, what agrees with an independent computation, what is undefined."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mtmed.evaluation.bootstrap import interval, replicates
from mtmed.evaluation.calibration import BINS, error, error_of, merge, reliability
from mtmed.evaluation.exchange import from_json, to_json
from mtmed.evaluation.gap import SMALLEST, gap_closed
from mtmed.evaluation.threshold import apply, tune
from mtmed.types import HeadEvaluation, SiteEvaluation

probability = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]))
pairs = st.lists(st.tuples(probability, st.booleans()), min_size=1, max_size=60)
unit = st.floats(0, 1)


def split(sample):
    p, t = zip(*sample, strict=True)
    return np.array(p), np.array(t)


@given(pairs)
def test_calibration_error_agrees_with_a_plain_loop(sample):
    p, t = split(sample)
    edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64).tolist()
    expected = 0.0
    for low, high in pairwise(edges):
        inside = (p >= low) & ((p < high) | (high == 1))
        if inside.any():
            expected += inside.mean() * abs(p[inside].mean() - t[inside].mean())
    assert error(p, t) == pytest.approx(expected, abs=1e-9)
    assert error_of(reliability(p, t)) == pytest.approx(expected, abs=1e-9)


@given(st.lists(pairs, min_size=1, max_size=4))
def test_merged_histograms_are_the_histogram_of_the_union(sites):
    merged = merge([reliability(*split(site)) for site in sites])
    union = reliability(*split([pair for site in sites for pair in site]))
    for name, values in union.items():
        assert merged[name] == pytest.approx(values, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.1, 5), min_size=4, max_size=12), st.integers(0, 2**32 - 1))
def test_the_interval_of_symmetric_data_contains_its_mean(half, seed):
    values = [s * x for x in half for s in (-1, 1)]
    patients = [f"p{i}" for i in range(len(values))]
    drawn = replicates(values, patients, lambda s: {"mean": float(np.mean(s))}, 200, seed)["mean"]
    bounds = interval(drawn)
    assert bounds is not None
    assert bounds[0] < 0 < bounds[1]


@given(unit, unit, unit)
def test_gap_closed_conventions(local, federated, pooled):
    models = {"local": local, "global": federated, "pooled": pooled}
    heads = {m: {"h": HeadEvaluation({"dice": v}, {}, {}, 1, 1)} for m, v in models.items()}
    gap = gap_closed([SiteEvaluation("a", heads)], {"h": "dice"})[0]
    if pooled - local < SMALLEST:
        assert gap.share is None
        assert gap.reason
    else:
        assert gap.share == pytest.approx((federated - local) / (pooled - local))
        assert (gap.share > 1) == (federated > pooled) or gap.share == pytest.approx(1)


names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
numbers = st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), max_size=3)
lists = st.dictionaries(names, st.lists(unit, max_size=4), max_size=2)
heads = st.builds(HeadEvaluation, numbers, lists, st.just({}), st.integers(0, 9), st.integers(0, 9))
evaluations = st.builds(
    SiteEvaluation, names, st.dictionaries(names, st.dictionaries(names, heads, max_size=2), max_size=2)
)


@given(evaluations)
def test_an_evaluation_travels_unchanged(evaluation):
    assert from_json(to_json(evaluation)) == evaluation


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, (3, 5, 5), elements=st.floats(0, 1, width=16)), arrays(bool, (3, 5, 5)))
def test_the_tuned_threshold_has_the_dice_that_it_was_chosen_for(images, masks):
    masks[0, 0, 0] = True
    lesion = masks.any((1, 2))
    threshold = tune(images, masks)

    def dice(predicted):
        both = (predicted & masks).sum((1, 2))[lesion]
        return (2 * both / (predicted.sum((1, 2)) + masks.sum((1, 2)))[lesion]).mean()

    best = dice(apply(threshold, images))
    quantiles = np.quantile(images[lesion], np.linspace(0, 1, 66)[1:-1]).astype(np.float32)
    for value in quantiles[::8]:
        assert best >= max(dice(images > value), dice(images <= value)) - 1e-6
