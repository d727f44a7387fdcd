"""Laws of confidence: curves add up over sites, scaling orders nothing anew, no ranking beats the oracle's."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.selective import area, excess, risk_coverage
from mtmed.evaluation.temperature import HIGHEST, LOWEST, add, best, curve, scale
from mtmed.evaluation.uncertainty import entropy, soft_dice

probability = st.floats(2**-10, 1 - 2**-10, width=32)
pairs = st.lists(st.tuples(probability, st.booleans()), min_size=1, max_size=30)
temperature = st.floats(LOWEST, HIGHEST)
unit = st.floats(0, 1)
ranked = st.lists(st.tuples(st.integers(0, 5), unit), min_size=1, max_size=12)


def split(sample):
    p, t = zip(*sample, strict=True)
    return np.array(p), np.array(t)


@given(st.lists(pairs, min_size=1, max_size=4), st.randoms())
def test_the_sites_find_what_pooled_patients_would(sites, random):
    curves = [curve(*split(site), len(site)) for site in sites]
    pooled = curve(*split([pair for site in sites for pair in site]), sum(map(len, sites)))
    random.shuffle(curves)
    together = add(curves)
    assert together.nll == pytest.approx(pooled.nll)
    assert (together.examples, together.images) == (pooled.examples, pooled.images)
    assert best(together) == pytest.approx(best(pooled), rel=1e-6)


@given(pairs)
def test_the_likelihood_is_no_worse_on_the_patients_that_it_was_found_on(sample):
    p, truth = split(sample)
    found = best(curve(p, truth, 1), np.inf)
    before, after = (np.where(truth, q, 1 - q) for q in (p, scale(p, found)))
    assert LOWEST <= found <= HIGHEST
    assert -np.log(after).sum() <= -np.log(before).sum() + 1e-3


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=20), temperature)
def test_scaling_changes_no_order_and_no_side_of_a_half(values, t):
    p = np.array(values, np.float32)
    scaled = scale(p, t)
    assert ((scaled >= 0) & (scaled <= 1)).all()
    assert ((p > 0.5) == (scaled > 0.5)).all()
    assert (np.diff(scaled[p.argsort()]) >= 0).all()


@given(ranked)
def test_no_ranking_beats_the_oracle_and_full_coverage_has_the_whole_risk(sample):
    confidence, loss = split(sample)
    coverage, risk = risk_coverage(confidence, loss)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(loss.mean())
    assert excess(confidence, loss) >= -1e-9
    assert excess(-loss, loss) == pytest.approx(0, abs=1e-12)
    assert area(np.zeros(len(loss)), loss) == pytest.approx(loss.mean())


@given(st.lists(st.tuples(st.integers(0, 2), unit), min_size=1, max_size=5))
def test_ties_are_worth_the_mean_of_all_their_orders(sample):
    confidence, loss = split(sample)
    orders = [np.array(order) for order in permutations(range(len(loss)))]
    broken = [area(confidence + 0.1 * order, loss) for order in orders]
    assert np.mean(broken) == pytest.approx(area(confidence, loss))
    assert area(confidence[orders[-1]], loss[orders[-1]]) == pytest.approx(area(confidence, loss))


@given(st.lists(unit, min_size=1, max_size=30), temperature)
def test_entropy_is_of_bits_and_soft_dice_a_share(values, t):
    p = np.array(values)
    assert ((entropy(p) >= 0) & (entropy(p) <= 1 + 1e-12)).all()
    assert entropy(p) == pytest.approx(entropy(1 - p), abs=1e-9)
    assert 0 <= soft_dice(p) <= 1
    if t > 1:  # less sure of every pixel
        assert (entropy(scale(p, t)) >= entropy(p) - 1e-6).all()


@given(pairs)
def test_the_prior_pulls_to_one_and_not_beyond(sample):
    found = curve(*split(sample), 1)
    free, pulled = np.log(best(found, np.inf)), np.log(best(found))
    assert abs(pulled) <= abs(free) + 0.07  # a step of the grid
    assert free * pulled >= -0.005
