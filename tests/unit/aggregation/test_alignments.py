"""Alignments inside a strategy: who moves, to whose places, and what moves along."""

from dataclasses import replace

import pytest
import torch

from mtmed.aggregation.incoming import Gate
from mtmed.aggregation.strategy import strategy
from mtmed.errors import UserError
from mtmed.matching.group import permuted
from mtmed.matching.symmetries import symmetries
from mtmed.training.seeds import generator
from mtmed.types import GlobalModel, SiteUpdate
from tests import permuting, tiny

ENCODER = "test_convnext"
ARCHITECTURE = tiny.architecture(ENCODER)
KINDS = {head.name: head.kind for head in tiny.HEADS}
OPEN = Gate(1e9, 1e9)
BY = ("matching", "l2")
every = pytest.mark.parametrize("by", BY)


def near(state, *parts, share=0.05):
    noise = {n: torch.randn(v.shape, generator=generator("near", *parts, n)) for n, v in state.items()}
    return {n: v + share * v.std(correction=0) * noise[n] for n, v in state.items()}


def update(site, mean, round=0, labelled=None):
    heads = {head.name: 8 for head in tiny.HEADS} if labelled is None else labelled
    drawn = {n: torch.rand(v.shape, generator=generator(site, n)) for n, v in mean.items()}
    owned = {n: p for n, p in drawn.items() if not n.startswith("heads.") or n.split(".")[1] in heads}
    return SiteUpdate(site, round, mean, owned, heads, 8, gradient=drawn)


@pytest.fixture(scope="module")
def net():
    return permuting.network(ENCODER)


@pytest.fixture(scope="module")
def start(net):
    return tiny.state(net)


def aggregated(by, model, sites, **options):
    return strategy("mine", {"merge": "labels", "alignment": by, **options}).aggregate(
        model, sites, KINDS, gate=OPEN, architecture=ARCHITECTURE
    )


def moved(net, site, *parts):
    """A site whose network is the same with its units in other places."""
    groups = symmetries(net).groups
    orders = {group.name: permuting.drawn(group, tiny.seeds(*parts)) for group in groups}
    turned = {k: permuted(getattr(site, k), groups, orders) for k in ("mean", "precision", "gradient")}
    return replace(site, **turned)


def same(a, b):
    """The models up to the rounding of sums."""
    parts = ((a.mean, b.mean), (a.precision, b.precision), (a.gradient, b.gradient))
    return all(torch.allclose(x[n], y[n], atol=1e-5) for x, y in parts for n in x)


@every
def test_where_sites_started_from_the_model_nothing_changes_not_to_a_bit(by, start):
    model = GlobalModel(0, start)
    sites = [update(site, near(start, site)) for site in "abc"]
    plain, found = aggregated("nothing", model, sites), aggregated(by, model, sites)
    assert not tiny.differing(plain.model.mean, found.model.mean)
    assert not tiny.differing(plain.model.precision, found.model.precision)
    assert not tiny.differing(plain.model.gradient, found.model.gradient)


@every
def test_a_site_with_its_units_elsewhere_changes_nothing(by, net, start):
    precision = {n: torch.rand(v.shape, generator=generator("model", n)) for n, v in start.items()}
    model = GlobalModel(3, start, precision)
    sites = [update(site, near(start, site), 3) for site in "abc"]
    found = aggregated(by, model, [sites[0], moved(net, sites[1], 1), moved(net, sites[2], 2)])
    assert same(found.model, aggregated("nothing", model, sites).model)
    assert not same(aggregated("nothing", model, [*sites[:2], moved(net, sites[2], 2)]).model, found.model)


@every
def test_where_nobody_started_from_the_model_the_first_site_says_where_units_are(by, net, start):
    model = GlobalModel(0, tiny.state(tiny.network(ENCODER, seed=5)))
    sites = [update(site, near(start, site)) for site in "abc"]
    found = aggregated(by, model, [sites[0], moved(net, sites[1], 1), moved(net, sites[2], 2)])
    assert same(found.model, aggregated("nothing", model, sites).model)


@every
def test_the_order_of_sites_does_not_matter(by, net, start):
    model = GlobalModel(0, tiny.state(tiny.network(ENCODER, seed=5)))
    sites = [moved(net, update(site, near(start, site, share=0.5)), site) for site in "abc"]
    found = [aggregated(by, model, order).model.mean for order in (sites, sites[::-1])]
    assert not tiny.differing(*found)


@every
def test_a_head_without_labels_stays(by, net, start):
    """Its units say nothing at that site, and nothing is made of them."""
    model = GlobalModel(3, start)
    some = {head.name: 8 for head in tiny.HEADS if head is not tiny.SEGMENTATION}
    sites = [moved(net, update(site, near(start, site), 3, some), site) for site in "ab"]
    found = aggregated(by, model, sites).model.mean
    own = [n for n in start if n.startswith(f"heads.{tiny.SEGMENTATION.name}")]
    assert all(torch.equal(found[n], start[n]) for n in own)


@every
def test_a_newcomer_is_judged_by_its_aligned_move(by, net, start):
    model = GlobalModel(3, start)
    sites = [update(site, near(start, site), 3) for site in "abc"]
    sites.append(moved(net, update("d", near(start, "d"), 3), 4))
    one = strategy("mine", {"merge": "labels", "alignment": by})
    assert one.aggregate(model, sites, KINDS, architecture=ARCHITECTURE).refused == {}
    wild = replace(sites[3], mean={n: 30 * v for n, v in sites[3].mean.items()})
    assert "went a distance" in one.aggregate(model, [*sites[:3], wild], KINDS, architecture=ARCHITECTURE).refused["d"]
    broken = replace(sites[3], mean=sites[3].mean | {"encoder.stem_0.weight": torch.full((24, 1, 4, 4), torch.nan)})
    found = one.aggregate(model, [*sites[:3], broken], KINDS, architecture=ARCHITECTURE)
    assert "not finite" in found.refused["d"]


def test_only_matching_by_precision_asks_for_one():
    wants = {by: strategy("mine", {"merge": "labels", "alignment": by}).tells_precision for by in (*BY, "nothing")}
    assert wants == {"matching": True, "l2": False, "nothing": False}


def test_without_an_architecture_it_says_what_it_lacks(start):
    one = strategy("mine", {"merge": "labels", "alignment": "l2"})
    with pytest.raises(UserError, match="architecture"):
        one.aggregate(GlobalModel(0, start), [update("a", start)])


def test_units_that_move_and_parameters_that_stay_do_not_go_together():
    with pytest.raises(UserError, match="expected personal 'nothing', got 'norms'"):
        strategy("mine", {"merge": "labels", "alignment": "l2", "personal": "norms"})


def test_an_unknown_encoder_is_named(caplog):
    architecture = tiny.architecture("test_efficientnet")
    state = tiny.state(tiny.network("test_efficientnet"))
    state = {n: v for n, v in state.items() if v.is_floating_point()}
    one = strategy("mine", {"merge": "labels", "alignment": "l2"})
    one.aggregate(GlobalModel(0, state), [update("a", state)], KINDS, architecture=architecture)
    assert "EfficientNetFeatures" in caplog.text
