"""Laws of permutations and of matching."""

from functools import cache

import hypothesis
import torch
from hypothesis import settings
from hypothesis import strategies as st

from mtmed.matching.align import Said, align
from mtmed.matching.assignment import assigned
from mtmed.matching.cost import Reference, costs, distance
from mtmed.matching.descent import after, matched
from mtmed.matching.group import Group, Member, Part, moves, permuted
from mtmed.matching.symmetries import symmetries
from tests import permuting, tiny

SEEDS = st.integers(0, 10**6)


def given(examples, **arguments):
    return lambda law: settings(max_examples=examples)(hypothesis.given(**arguments)(law))


@cache
def network():
    net = permuting.network("test_convnext")
    return net, tiny.state(net), symmetries(net).groups


@cache
def default():
    net = permuting.network()
    return net, tiny.state(net), symmetries(net).groups


def ones(state):
    return {name: torch.ones_like(value) for name, value in state.items()}


def precisions(state, seed):
    """Over some orders of magnitude, a tenth of it exactly 0."""
    out = {}
    for name, value in state.items():
        draw = torch.rand(2, *value.shape, generator=tiny.seeds("precision", seed, name))
        out[name] = torch.exp(6 * draw[0] - 3) * (draw[1] > 0.1)
    return out


def noisy(state, seed, share):
    """With noise of a share of each parameter's deviation."""
    noise = {n: torch.randn(v.shape, generator=tiny.seeds("noise", seed, n)) for n, v in state.items()}
    return {n: v + share * v.std(correction=0) * noise[n] for n, v in state.items()}


@given(5, seed=SEEDS)
def test_a_permuted_network_computes_the_same(seed):
    net, state, _ = network()
    says = permuting.answers(net, state)
    after_it = permuting.answers(net, permuting.shuffled(net, seed)[0])
    net.load_state_dict(state)
    for name, values in says.items():
        assert torch.allclose(after_it[name], values, rtol=1e-4, atol=1e-4 * float(values.abs().max())), name


@given(5, seed=SEEDS)
def test_orders_one_after_the_other_are_one(seed):
    net, state, groups = network()
    once, first = permuting.shuffled(net, seed, "first")
    second = {group.name: permuting.drawn(group, tiny.seeds(seed, "second")) for group in groups}
    assert not tiny.differing(permuted(once, groups, second), permuted(state, groups, after(first, second)))


@given(5, seed=SEEDS, share=st.sampled_from([0.0, 0.1]))
def test_a_planted_permutation_is_found(seed, share):
    net, state, groups = network()
    planted, _ = permuting.shuffled(net, seed)
    orders = matched(groups, noisy(planted, seed, share), Reference(state, precisions(state, seed)))
    assert not tiny.differing(permuted(planted, groups, orders), state)


@given(1, seed=SEEDS)
def test_a_planted_permutation_of_the_default_network_is_found(seed):
    net, state, groups = default()
    planted, _ = permuting.shuffled(net, seed)
    orders = matched(groups, noisy(planted, seed, 0.1), Reference(state, ones(state)))
    assert not tiny.differing(permuted(planted, groups, orders), state)


@given(5, seed=SEEDS)
def test_a_network_near_the_reference_stays(seed):
    _, state, groups = network()
    assert not moves(matched(groups, noisy(state, seed, 0.1), Reference(state, precisions(state, seed))))


@given(5, seed=SEEDS)
def test_matching_never_goes_farther_away(seed):
    _, state, groups = network()
    other, reference = noisy(state, seed, 3.0), Reference(state, precisions(state, seed))
    found = permuted(other, groups, matched(groups, other, reference))
    assert distance(found, reference) <= distance(other, reference)


def test_where_nobody_is_sure_nothing_moves():
    net, state, groups = network()
    planted, _ = permuting.shuffled(net, 1)
    assert not moves(matched(groups, planted, Reference(state, {n: torch.zeros_like(v) for n, v in state.items()})))


@given(20, seed=SEEDS, blocks=st.integers(1, 3), units=st.integers(1, 3))
def test_costs_and_blocks_are_those_of_the_formula(seed, blocks, units):
    """Against all orders there are, one by one."""
    from itertools import permutations, product

    size = blocks * units
    member = Member("w", 1, torch.arange(2 * size).reshape(2, blocks, units).permute(1, 2, 0))
    group = Group("g", blocks, (Part(units, (member,)),))
    w, m, p = torch.rand(3, 5, 2 * size, generator=tiny.seeds("formula", seed)).double()
    found = costs(group, {"w": w}, Reference({"w": m}, {"w": p}))[0]
    columns = [[i, size + i] for i in range(size)]
    for i, l in product(range(size), repeat=2):  # noqa: E741
        expected = (p[:, columns[i]] * (w[:, columns[l]] - m[:, columns[i]]).square()).sum()
        assert torch.isclose(found[i, l], expected)
    every = [
        [b * units + u for b, order in zip(moved, inside, strict=True) for u in order]
        for moved in permutations(range(blocks))
        for inside in product(permutations(range(units)), repeat=blocks)
    ]
    best = min(float(found[torch.arange(size), torch.tensor(order)].sum()) for order in every)
    (order,) = assigned(group, [found])
    assert order.tolist() in every
    assert abs(float(found[torch.arange(size), order].sum()) - best) < 1e-6


@given(3, seed=SEEDS, model=st.booleans())
def test_several_sites_come_to_the_same_places(seed, model):
    net, state, groups = network()
    planted = [permuting.shuffled(net, seed, k)[0] for k in range(3)]
    sites = [Said(noisy(site, (seed, k), 0.05), ones(site)) for k, site in enumerate(planted)]
    orders = align(groups, sites, Said(state, {n: torch.ones(()) for n in state}) if model else None)
    aligned = [permuted(site, groups, o) for site, o in zip(planted, orders, strict=True)]
    reference = state if model else planted[0]
    assert all(not tiny.differing(site, reference) for site in aligned)


def test_precision_moves_with_its_unit_and_zeros_stay_zeros():
    net, state, groups = network()
    precision = precisions(state, 3)
    del precision["encoder.stem_0.weight"]  # of what has none, nothing is made
    _, orders = permuting.shuffled(net, 3)
    moved = permuted(precision, groups, orders)
    assert moved.keys() == precision.keys()
    assert tiny.differing(moved, precision)
    for name, value in precision.items():
        assert torch.equal(moved[name].flatten().sort().values, value.flatten().sort().values)
