"""Matching after real training, and with real precisions."""

from functools import cache

import pytest
import torch

from mtmed.matching.align import Said, align
from mtmed.matching.group import moves, permuted
from mtmed.matching.symmetries import symmetries
from mtmed.training.fisher import precision
from mtmed.training.local import Span, train
from tests import permuting, tiny


@cache
def trained(encoder, site):
    """A site's network after a short training from the shared initialisation, and its precision."""
    net, studies = tiny.network(encoder), tiny.studies(6, site)
    train(net, studies, tiny.training(), Span(0, 1), tiny.seeds(site))
    return tiny.state(net), precision(net, studies, tiny.training(), tiny.seeds(site, "precision"))


def said(encoder, site, by_precision):
    state, known = trained(encoder, site)
    return Said(state, known if by_precision else {name: torch.ones(()) for name in state})


@pytest.mark.parametrize("by_precision", [False, True], ids=["l2", "precision"])
@pytest.mark.parametrize("encoder", ["test_convnext", "mtmedformer_tiny"])
def test_after_training_from_one_start_every_unit_stays(encoder, by_precision):
    groups = symmetries(tiny.network(encoder)).groups
    sites = [said(encoder, site, by_precision) for site in (1, 2)]
    assert not any(moves(orders) for orders in align(groups, sites))


@pytest.mark.parametrize("by_precision", [False, True], ids=["l2", "precision"])
def test_a_site_whose_units_are_elsewhere_is_brought_back(by_precision):
    """Where nobody has a precision nothing can be said, and units may be anywhere."""
    encoder = "test_convnext"
    net = tiny.network(encoder)
    groups, (one, two) = symmetries(net).groups, [said(encoder, site, by_precision) for site in (1, 2)]
    net.load_state_dict(two.mean)
    state, orders = permuting.shuffled(net, "elsewhere", groups=groups)
    shaped = permuted(two.precision, groups, orders) if by_precision else two.precision
    (_, found) = align(groups, [one, Said(state, shaped)])
    back = permuted(state, groups, found)
    differ = {n for n in tiny.differing(back, two.mean) if not by_precision or n in one.precision}
    assert not differ
