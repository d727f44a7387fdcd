"""What a coordinator must not take from a site: every refusal is one line that names the site."""

import re
from dataclasses import replace

import pytest
import torch

from mtmed.aggregation.incoming import Gate
from mtmed.aggregation.strategy import NAMED, strategy
from mtmed.errors import UserError
from mtmed.types import GlobalModel, SiteUpdate

MEAN = {"encoder.w": torch.zeros(2, 3), "heads.masks.b": torch.zeros(2)}
MODEL = GlobalModel(2, MEAN, {}, {"run": "x"})
BAYES = strategy("bayes", {})
GOOD = SiteUpdate("alder", 2, MEAN, {n: torch.ones(v.shape) for n, v in MEAN.items()}, {"masks": 4}, 5)


def with_value(values, name, value):
    changed = values[name].clone()
    changed.view(-1)[-1] = value
    return values | {name: changed}


BAD = {
    "another round": ({"round": 1}, "of round 1: expected round 2"),
    "a tensor is missing": (
        {"mean": {"encoder.w": MEAN["encoder.w"]}},
        "another architecture: it differs in 'heads.masks.b'",
    ),
    "a tensor too many": ({"mean": MEAN | {"heads.x.b": torch.ones(1)}}, "it differs in 'heads.x.b'"),
    "another shape": (
        {"mean": MEAN | {"encoder.w": torch.zeros(3, 2)}},
        r"'encoder.w' has shape \(3, 2\), expected \(2, 3\)",
    ),
    "not a number": ({"mean": with_value(MEAN, "encoder.w", float("nan"))}, "not finite in 'encoder.w'"),
    "infinite": ({"mean": with_value(MEAN, "heads.masks.b", float("inf"))}, "not finite in 'heads.masks.b'"),
    "negative precision": (
        {"precision": with_value(GOOD.precision, "encoder.w", -1e-9)},
        "negative or infinite precision in 'encoder.w'",
    ),
    "infinite precision": (
        {"precision": with_value(GOOD.precision, "encoder.w", float("inf"))},
        "negative or infinite precision in 'encoder.w'",
    ),
    "precision not a number": (
        {"precision": with_value(GOOD.precision, "encoder.w", float("nan"))},
        "negative or infinite precision in 'encoder.w'",
    ),
    "precision of another shape": (
        {"precision": GOOD.precision | {"encoder.w": torch.ones(3)}},
        r"its precision is of another architecture: .*'encoder.w' has shape \(3,\), expected \(2, 3\)",
    ),
    "precision of an unknown tensor": (
        {"precision": GOOD.precision | {"encoder.x": torch.ones(3)}},
        "its precision is of another architecture: .*'encoder.x'.*expected None",
    ),
    "a precision of what is not labelled": (
        {"labelled": {"masks": 0}},
        "a precision in 'heads.masks.b', and says that it has no label for 'masks'",
    ),
    "a gradient that is not finite": (
        {"gradient": with_value(MEAN, "encoder.w", float("inf"))},
        "its gradient is not finite in 'encoder.w'",
    ),
    "a gradient of another shape": (
        {"gradient": {"encoder.w": torch.ones(3)}},
        r"its gradient is of another architecture: .*'encoder.w' has shape \(3,\), expected \(2, 3\)",
    ),
    "negative examples": ({"examples": -1}, "negative number of examples"),
    "negative labels": ({"labelled": {"masks": -4}}, "negative number of examples"),
}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_update_is_refused_and_the_round_goes_on(name, bad):
    changes, expected = BAD[bad]
    one, other = strategy(name, {}), replace(GOOD, site="birch")
    found = one.aggregate(MODEL, [other, replace(GOOD, **changes)])
    assert list(found.refused) == ["alder"]
    assert re.search(expected, found.refused["alder"])
    assert "\n" not in found.refused["alder"]
    without = one.aggregate(MODEL, [other])
    assert without.refused == {}
    assert all(torch.equal(found.model.mean[n], without.model.mean[n]) for n in MEAN)
    assert found.shares == without.shares
    with pytest.raises(UserError, match=f"round 2: all updates are refused; that of site 'alder': .*{expected}"):
        one.aggregate(MODEL, [replace(GOOD, **changes)])


def near(site, move, sure=1.0):
    """An update that went so far in each element."""
    mean = {n: v + move for n, v in MEAN.items()}
    return replace(GOOD, site=site, mean=mean, precision={n: torch.full(v.shape, sure) for n, v in MEAN.items()})


def test_a_move_far_out_is_refused():
    sites = [near("a", 1.0), near("b", -1.2), near("c", 0.8), near("d", 30.0)]
    found = BAYES.aggregate(MODEL, sites)
    assert list(found.refused) == ["d"]
    assert re.search(r"it went a distance of 84.9, 27.3 times the sites' median: .*gate.move", found.refused["d"])
    assert not BAYES.aggregate(MODEL, sites, gate=Gate(move=1e9)).refused
    assert not BAYES.aggregate(MODEL, sites[2:]).refused, "of two sites nobody can say which one is far out"


def test_a_site_that_brings_a_model_may_be_anywhere_in_its_first_round_and_in_no_other():
    brought = replace(near("d", 30.0), lineage={"start": "sha256:0"})
    sites = [near("a", 1.0), near("b", -1.2), near("c", 0.8), brought]
    first = [replace(site, round=0) for site in sites]
    assert not BAYES.aggregate(replace(MODEL, round=0), first).refused
    assert list(BAYES.aggregate(MODEL, sites).refused) == ["d"]


def test_a_number_that_is_no_float_is_refused():
    odd = replace(near("d", 1.0), mean={**MEAN, next(iter(MEAN)): torch.zeros_like(next(iter(MEAN.values()))).bool()})
    found = BAYES.aggregate(MODEL, [near("a", 1.0), odd])
    assert re.search("torch.bool in .*: expected floating-point numbers", found.refused["d"])


def test_a_precision_far_out_is_refused():
    sites = [near("a", 1.0, 2.0), near("b", -1.2, 0.01), near("c", 0.8, 9.0), near("d", 1.0, 1e6)]
    found = BAYES.aggregate(MODEL, sites)
    assert list(found.refused) == ["d"]
    assert "claims a precision" in found.refused["d"]
    assert "raise federation.gate.precision" in found.refused["d"]


def test_sites_that_do_not_move_are_no_measure():
    assert not BAYES.aggregate(MODEL, [near(s, 0.0) for s in "abc"] + [near("d", 1.0)]).refused


def test_a_round_without_updates_is_refused():
    with pytest.raises(UserError, match="round 2 has no updates"):
        BAYES.aggregate(MODEL, [])


def test_a_site_counts_once():
    with pytest.raises(UserError, match="site 'alder' sent two updates in round 2"):
        BAYES.aggregate(MODEL, [GOOD, replace(GOOD, site="birch"), GOOD])


@pytest.mark.parametrize("option", ["alpha", "a", "b"])
@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_bayes_refuses_impossible_options(option, value):
    with pytest.raises(UserError, match=rf"strategies\.bayes\.{option}: expected a number from 0 up, got"):
        strategy("bayes", {option: value})


def test_the_aggregated_model_keeps_its_lineage_and_counts_the_round():
    result = BAYES.aggregate(MODEL, [GOOD]).model
    assert (result.round, result.lineage) == (3, {"run": "x"})
    assert {v.dtype for v in result.mean.values()} == {torch.float32}
