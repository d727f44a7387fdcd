"""Merges and servers' optimisers, one by one, by hand; and that any merge goes with any server."""

from dataclasses import fields, replace
from itertools import product

import pytest
import torch
from torch import nn

from mtmed.aggregation import piece
from mtmed.aggregation.incoming import Gate
from mtmed.aggregation.strategy import KINDS as KINDS_OF_PARTS
from mtmed.aggregation.strategy import strategy
from mtmed.errors import UserError
from mtmed.registry import find, names
from mtmed.types import GlobalModel, SiteUpdate

KINDS = {"masks": "segmentation", "finding": "classification"}
START = GlobalModel(0, {"encoder.w": torch.zeros(2), "heads.masks.w": torch.zeros(2)})


def site(name, encoder, head, masks=0, finding=0, precision=None):
    mean = {"encoder.w": torch.tensor(encoder), "heads.masks.w": torch.tensor(head)}
    labelled = {"masks": masks, "finding": finding}
    return SiteUpdate(name, 0, mean, precision or {}, labelled, max(masks, finding, 1))


A = site("a", [1.0, 1.0], [1.0, 1.0], masks=10)
B = site("b", [2.0, 9.0], [2.0, 4.0], masks=30)
C = site("c", [9.0, 2.0], [9.0, 9.0], finding=40)
D = site("d", [4.0, 4.0], [4.0, 2.0], masks=20)
EVERYONE = [A, B, C, D]


def merged(name, sites=EVERYONE, **options):
    found = strategy(name, options).aggregate(START, sites, KINDS, gate=Gate(move=1e9))
    return {n: v.tolist() for n, v in found.model.mean.items()}


def test_the_median_is_of_sites_that_a_label_reaches():
    found = merged("median")
    assert found["encoder.w"] == [3.0, 3.0]
    assert found["heads.masks.w"] == [2.0, 2.0], "c draws no masks"


def test_one_site_far_out_does_not_move_the_median_far():
    wild = site("c", [1e6, -1e6], [1e6, 1e6], masks=1)
    assert merged("median", [A, B, wild])["encoder.w"] == [2.0, 1.0]


def test_a_trimmed_mean_leaves_the_ends_out():
    found = merged("trimmed_mean")
    assert found["encoder.w"] == [3.0, 3.0], "one of four at each end"
    assert found["heads.masks.w"] == [2.0, 2.0]
    assert merged("trimmed_mean", trim=0)["encoder.w"] == [4.0, 4.0]
    assert merged("trimmed_mean", [A, B])["encoder.w"] == [1.5, 5.0], "of two nobody can be left out"


def test_masks_only_moves_the_encoder_by_masks():
    found = merged("masks_only")
    assert found["encoder.w"] == pytest.approx([(10 + 60 + 80) / 60, (10 + 270 + 80) / 60])
    assert found["heads.masks.w"] == merged("label_aware")["heads.masks.w"]
    assert merged("masks_only", [C])["encoder.w"] == [9.0, 2.0], "where nobody draws, all count"


def test_fisher_weighs_by_element():
    sure = {"encoder.w": torch.tensor([3.0, 1.0])}
    other = {"encoder.w": torch.tensor([1.0, 1.0])}
    sites = [
        site("a", [1.0, 1.0], [1.0, 1.0], masks=10, precision=sure),
        site("b", [2.0, 9.0], [2.0, 4.0], masks=30, precision=other),
    ]
    assert merged("fisher", sites, damping=0)["encoder.w"] == pytest.approx([(3 + 2) / 4, (1 + 9) / 2])
    assert merged("fisher", sites, damping=1e9)["encoder.w"] == pytest.approx([1.5, 5.0])
    assert merged("fisher", sites)["heads.masks.w"] == pytest.approx([1.75, 3.25]), "no precision: by labels"


def rounds(name, count, **options):
    """The global model after so many rounds in which every site goes 1 further than the model."""
    one, model, state = strategy(name, options), START, None
    for round in range(count):
        update = SiteUpdate("a", round, {n: v + 1 for n, v in model.mean.items()}, {}, {"masks": 1}, 1)
        found = one.aggregate(model, [update], KINDS, state)
        model, state = found.model, found.state
    return model.mean["encoder.w"].tolist(), state


def test_momentum_keeps_a_part_of_the_last_move():
    at, state = rounds("fedavgm", 3, momentum=0.5, server_rate=1)
    assert at == pytest.approx([1 + 1.5 + 1.75] * 2)
    assert state["encoder.w/velocity"].tolist() == [1.75, 1.75]


def test_adam_by_the_published_formula():
    at, _ = rounds("fedadam", 2, server_rate=0.1, momentum=0.9, spread=0.99, adaptivity=0.001)
    expected, first, second = 0.0, 0.0, 1e-6
    for _ in range(2):
        first, second = 0.9 * first + 0.1, 0.99 * second + 0.01
        expected += 0.1 * first / (second**0.5 + 0.001)
    assert at == pytest.approx([expected] * 2)


def going(number, count, length=1.0):
    """A site that moves one element of its own, of `count`."""
    move = torch.zeros(count)
    move[number] = length
    mean = {"encoder.w": move, "heads.masks.w": torch.full((2,), length)}
    return SiteUpdate(f"s{number}", 0, mean, {}, {"masks": 5}, 5)


@pytest.mark.parametrize(("sites", "longer"), [(2, 1), (4, 2), (8, 4), (16, 5)])
def test_moves_in_different_ways_are_prolonged(sites, longer):
    start = GlobalModel(0, {"encoder.w": torch.zeros(sites), "heads.masks.w": torch.zeros(2)})
    updates = [going(n, sites) for n in range(sites)]
    found = strategy("fedexp", {}).aggregate(start, updates, KINDS).model.mean
    torch.testing.assert_close(found["encoder.w"], torch.full((sites,), longer / sites))
    torch.testing.assert_close(found["heads.masks.w"], torch.ones(2))  # here all go the same way


def test_extrapolation_goes_with_weights_by_element():
    sites = [
        SiteUpdate(
            u.site, 0, u.mean, {n: 1e-6 + 9 * (v > 0).float() for n, v in u.mean.items()}, u.labelled, u.examples
        )
        for u in (going(n, 8) for n in range(8))
    ]
    start = GlobalModel(0, {"encoder.w": torch.zeros(8), "heads.masks.w": torch.zeros(2)})
    sure = strategy("mine", {"merge": "fisher", "server": "extrapolated", "damping": 0})
    found = sure.aggregate(start, sites, KINDS).model.mean["encoder.w"]
    torch.testing.assert_close(found, torch.ones(8), atol=1e-3, rtol=0)  # who is sure decides: nothing was shortened


def test_a_server_without_memory_remembers_nothing():
    assert rounds("fedavg", 2) == ([2.0, 2.0], {})


def test_statistics_of_batch_norm_are_no_directions():
    model = GlobalModel(0, {"encoder.n.running_var": torch.ones(2)})
    update = SiteUpdate("a", 0, {"encoder.n.running_var": torch.full((2,), 0.1)}, {}, {}, 1)
    found = strategy("fedavgm", {"server_rate": 9}).aggregate(model, [update])
    torch.testing.assert_close(found.model.mean["encoder.n.running_var"], torch.full((2,), 0.1))
    assert not found.state


@pytest.mark.parametrize(
    ("merge", "server"), [*product(names("mtmed.aggregation.merges"), names("mtmed.aggregation.servers"))]
)
def test_any_merge_goes_with_any_server(merge, server):
    mine = strategy("mine", {"merge": merge, "server": server})
    found = mine.aggregate(START, EVERYONE, KINDS)
    moved = any(v.any() for v in found.model.mean.values())
    assert moved == (merge != "nothing")
    assert bool(found.state) == (server in ("adam", "momentum") and merge != "nothing")


@pytest.mark.parametrize("b", [0.5, 1, 2])
def test_only_ratios_of_precisions_matter(b):
    """Also of those whose powers single precision does not hold."""

    def scaled(by):
        precision = [torch.tensor([3.0, 1.0]), torch.tensor([1.0, 2.0])]
        sites = [replace(u, precision={"encoder.w": p * by}) for u, p in zip((A, B), precision, strict=True)]
        return merged("bayes", sites, a=1, b=b)["encoder.w"]

    assert scaled(1e-30) == pytest.approx(scaled(1.0), rel=1e-5)


def test_options_of_parts_have_different_names():
    """They are set flat, so a name may belong to one kind of part only."""
    found = [
        {f.name for n in names(package) for f in fields(getattr(find(package, n, "part"), part))}
        for package, part in KINDS_OF_PARTS.values()
    ]
    assert len(set().union(*found)) == sum(map(len, found))


@pytest.mark.parametrize("name", ["bayes", "fisher", "label_aware", "median", "trimmed_mean"])
def test_pieces_give_what_the_whole_gives(name, monkeypatch):
    draw = torch.Generator().manual_seed(1)
    model = GlobalModel(0, {"encoder.w": torch.randn(30, 7, generator=draw)})
    sites = [
        SiteUpdate(
            s,
            0,
            {"encoder.w": torch.randn(30, 7, generator=draw)},
            {"encoder.w": torch.rand(30, 7, generator=draw)},
            {"masks": 3 + k},
            9,
        )
        for k, s in enumerate("abc")
    ]
    whole = strategy(name, {}).aggregate(model, sites, KINDS)
    monkeypatch.setattr(piece, "ELEMENTS", 50)
    cut = strategy(name, {}).aggregate(model, sites, KINDS)
    torch.testing.assert_close(cut.model.mean, whole.model.mean, rtol=1e-6, atol=1e-7)
    for part, shares in whole.shares.items():
        assert cut.shares[part] == pytest.approx(shares)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        (
            "trimmed_mean",
            {"trim": 0.5},
            "strategies.trimmed_mean.trim: expected a number from 0 to below 0.5, got",
        ),
        ("fisher", {"damping": -1}, "strategies.fisher.damping: expected a number from 0 up, got -1"),
        ("fedavgm", {"momentum": 1}, "strategies.fedavgm.momentum: expected a number from 0 to below 1, got 1"),
        ("fedadam", {"adaptivity": 0}, "strategies.fedadam.adaptivity: expected a number from 1e-12 up, got 0"),
        ("fedadam", {"spread": 2}, "strategies.fedadam.spread: expected"),
        ("local", {"order": "relay"}, "strategies.local: with merge 'nothing' expected order 'together', got 'relay'"),
        ("cyclic", {"chain": 1.5}, "strategies.cyclic.chain: expected a whole number of sites, got 1.5"),
    ],
)
def test_impossible_options_are_one_line(name, options, expected):
    with pytest.raises(UserError, match=expected):
        strategy(name, options)


def test_the_mean_gradient_is_of_sites_that_a_label_reaches():
    def told(update, **gradient):
        return replace(update, gradient={n.replace("_", "."): torch.tensor(v) for n, v in gradient.items()})

    sites = [
        told(A, encoder_w=[1.0, 0.0], heads_masks_w=[1.0, 1.0]),
        told(B, encoder_w=[5.0, 0.0], heads_masks_w=[3.0, 3.0]),
        told(C, encoder_w=[0.0, 4.0]),
    ]
    found = strategy("scaffold", {}).aggregate(START, sites, KINDS, gate=Gate(move=1e9)).model.gradient
    torch.testing.assert_close(found["encoder.w"], torch.tensor([(10 + 150) / 80, 160 / 80]))
    assert found["heads.masks.w"].tolist() == [2.5, 2.5]


def test_norms_of_every_kind_are_a_sites_own():
    net = nn.Sequential(nn.Conv2d(1, 8, 1), nn.GroupNorm(2, 8), nn.BatchNorm2d(8), nn.LayerNorm(8))
    kept = strategy("fedbn", {}).personal.names(net)
    assert {n.partition(".")[0] for n in kept} == {"1", "2", "3"}
    assert {"1.weight", "2.running_var", "3.bias"} <= kept
    assert not strategy("fedavg", {}).personal.names(net)


def test_a_part_that_is_replaced_takes_its_options_with_it():
    assert type(strategy("bayes", {"order": "together", "alpha": 0.3}).order).__module__.endswith("together")
    with pytest.raises(UserError, match="unknown option of strategy 'bayes' 'relayed'"):
        strategy("bayes", {"order": "together", "relayed": 0.5})


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"order": "together"}, [True, True, True, True]),
        ({"order": "relay", "relayed": 0.75}, [False, False, False, True]),
        ({"order": "relay", "relayed": 1, "chain": 2}, [True, True, True, True]),
        ({"order": "relay", "relayed": 1, "correction": "prior"}, [True, True, True, True]),
        ({"merge": "labels"}, [False, False, False, False]),
    ],
)
def test_precision_is_asked_for_where_it_weighs(options, asked):
    found = strategy("mine", {"merge": "bayes", **options})
    assert [found.asks_precision(["a", "b", "c", "d"], round, 4) for round in range(4)] == asked
    model = GlobalModel(0, {}, {"w": torch.ones(2)})
    assert bool(found.told(model).precision) == ("correction" in options)
