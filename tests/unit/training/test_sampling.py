"""Every head sees as many labelled images as the others, however few of the studies have its label."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtmed.training.sampling import order, rarity
from mtmed.types import HeadSpec, Study

HEADS = [HeadSpec(name, "classification", ("k",), ("mammography",)) for name in ("rare", "common")]
KNOWN = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=20)


def study(rare, common, modality="mammography"):
    labelled = {"rare": np.array([rare]), "common": np.array([common])}
    return Study("s", "p", modality, "train", np.zeros((4, 4), np.float32), labelled=labelled)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@given(KNOWN)
def test_each_head_that_has_labels_has_the_same_share(known):
    weights = rarity([study(*k) for k in known], HEADS)
    assert float(weights.sum()) == pytest.approx(sum(any(column) for column in zip(*known, strict=True)))
    assert all((weight > 0) == any(k) for weight, k in zip(weights.tolist(), known, strict=True))


def test_one_film_in_ten_with_a_mask_is_drawn_as_often_as_the_others_together():
    studies = [study(n == 0, n > 0) for n in range(10)]
    drawn = order(studies, HEADS, "balanced", seeded())
    assert (len(drawn), drawn.count(0)) == (10, 5)
    seen = {i for seed in range(20) for i in order(studies, HEADS, "balanced", seeded(seed))}
    assert seen == set(range(10))


@given(KNOWN.filter(lambda known: any(map(any, known))), st.integers(0, 1000))
def test_nothing_is_drawn_more_or_less_often_than_expected(known, seed):
    studies = [study(*k) for k in known]
    weights = rarity(studies, HEADS)
    expected = (weights / weights.sum() * len(known)).tolist()
    drawn = order(studies, HEADS, "balanced", seeded(seed))
    assert len(drawn) == len(known)
    assert all(abs(drawn.count(i) - e) < 1 + 1e-9 for i, e in enumerate(expected))
    assert not any(drawn.count(i) for i, e in enumerate(expected) if e == 0)


def test_where_all_are_as_rare_balanced_takes_each_once():
    assert sorted(order([study(True, True)] * 9, HEADS, "balanced", seeded())) == list(range(9))


def test_uniform_takes_each_study_once_and_what_nothing_labels_too():
    studies = [study(False, n > 4) for n in range(9)]
    assert sorted(order(studies, HEADS, "uniform", seeded())) == list(range(9))


@pytest.mark.parametrize("studies", [[study(False, False)] * 3, [study(True, True, "chest_xray")] * 3])
def test_without_any_label_balanced_is_uniform(studies):
    assert sorted(order(studies, HEADS, "balanced", seeded())) == [0, 1, 2]


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_the_order_depends_on_the_generator_alone(sampling):
    studies = [study(n % 3 == 0, True) for n in range(30)]
    orders = [order(studies, HEADS, sampling, seeded(seed)) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
