"""The numbers that the strategies gave when they were written: a change of them must be meant."""

import json

import pytest

from mtmed.aggregation.strategy import NAMED
from tests.golden.make_aggregation import PATH, results

KEPT = json.loads(PATH.read_text())
FOUND = results()


def leaves(value, path=""):
    """{path: number} of nested dictionaries and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return {path: value}
    return {name: number for key, inner in items for name, number in leaves(inner, f"{path}/{key}").items()}


def test_every_strategy_is_kept():
    assert KEPT.keys() == FOUND.keys()
    assert NAMED.keys() <= KEPT.keys()


@pytest.mark.parametrize("strategy", KEPT)
def test_the_numbers_are_those_that_were_kept(strategy):
    assert leaves(FOUND[strategy]) == pytest.approx(leaves(KEPT[strategy]), rel=1e-5, abs=1e-7)


def test_strategies_differ():
    means = {name: json.dumps(found["mean"]) for name, found in FOUND.items()}
    assert means.pop("trimmed_mean") == means["median"], "of three sites, one is left out at each end"
    for name in ("fedprox", "scaffold", "fedbn"):
        assert means.pop(name) == means["fedavg"], "it differs at the sites"
    assert means.pop("cyclic") == means["label_aware"], "it differs in who trains after whom"
    assert len({*means.values()}) == len(means)
