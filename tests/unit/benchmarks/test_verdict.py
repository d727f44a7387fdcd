from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.evidence.claim import AtOnce, Claim, Protocol
from benchmarks.evidence.claimed import claims
from benchmarks.evidence.paired import holm
from benchmarks.evidence.verdict import FAILS, HOLDS, MISSING, judge
from mtmed.evaluation.glossary import metrics

DICE = Claim("family", "It beats it", "superior", "phantom", Protocol(10), "multitask", "lesion", "dice", ("single",))
UP = np.arange(1, 11) / 100  # ten differences above 0: p is 2 / 1024


def _rows(metric: str = "dice", head: str = "lesion", **arms: np.ndarray) -> pd.DataFrame:
    columns = ["experiment", "arm", "seed", "head", "metric", "value"]
    found = [
        ("phantom", arm.replace("_", "-"), str(n), head, metric, v)
        for arm, vs in arms.items()
        for n, v in enumerate(vs)
    ]
    return pd.DataFrame(found, columns=columns).astype({"value": float})


def _judge(rows: pd.DataFrame, *claims: Claim | AtOnce) -> list[str]:
    return [verdict.word for verdict in judge(claims, {"phantom": rows})]


def test_a_difference_of_pairs_is_judged() -> None:
    rows = _rows(multitask=0.5 + UP, single=np.full(10, 0.5))
    (verdict,) = judge([DICE], {"phantom": rows.sample(frac=1, random_state=0)})  # paired by seed, not by place
    assert verdict.word == HOLDS
    assert verdict.estimate is not None
    assert verdict.estimate.mean == pytest.approx(UP.mean())
    assert verdict.estimate.p == pytest.approx(2 / 1024)
    assert _judge(_rows(multitask=0.5 - UP, single=np.full(10, 0.5)), DICE) == [FAILS]


def test_less_error_is_better() -> None:
    claim = replace(DICE, metric="mae")
    assert _judge(_rows("mae", multitask=3 - UP, single=np.full(10, 3)), claim) == [HOLDS]
    assert _judge(_rows("mae", multitask=3 + UP, single=np.full(10, 3)), claim) == [FAILS]


def test_what_is_missing_never_holds() -> None:
    whole = _rows(multitask=0.5 + UP, single=np.full(10, 0.5))
    for rows, said in (
        (whole[whole["seed"] != "3"], "9 of 10 runs"),
        (whole[whole["arm"] != "single"], "0 of 10 runs"),
        (whole[(whole["seed"] != "3") | (whole["arm"] != "single")], "9 of 10 runs"),
        (whole.assign(metric="dice_pooled"), "undefined in all runs"),
        (whole[:0], "0 of 10 runs"),
    ):
        (verdict,) = judge([DICE], {"phantom": rows})
        assert (verdict.word, verdict.missing) == (MISSING, said)
    assert judge([DICE], {})[0].missing == "0 of 10 runs"


def test_what_one_arm_lacks_is_not_left_out() -> None:
    """A run that failed at a head wrote its other heads: to leave the pair out would favour that arm."""
    whole = _rows(multitask=0.5 + UP, single=np.full(10, 0.5))
    other = _rows("auroc", "pneumonia", multitask=UP, single=UP)
    rows = pd.concat([whole[(whole["seed"] != "3") | (whole["arm"] != "single")], other])
    assert judge([DICE], {"phantom": rows})[0].missing == "single lacks it at seed 3"
    both = pd.concat([whole[whole["seed"] != "3"], other])  # undefined, as AUROC is without positives
    (verdict,) = judge([DICE], {"phantom": both})
    assert verdict.estimate is not None
    assert (verdict.word, verdict.estimate.n) == (HOLDS, 9)


def test_not_inferior_is_more_than_not_different() -> None:
    claim = replace(DICE, kind="non-inferior", target=-0.01)
    near = np.array([1, -1] * 5) / 1000
    assert _judge(_rows(multitask=0.5 + near, single=np.full(10, 0.5)), claim) == [HOLDS]
    assert _judge(_rows(multitask=0.5 + near * 50, single=np.full(10, 0.5)), claim) == [FAILS]  # no difference, unsure
    assert _judge(_rows(multitask=0.48 + near, single=np.full(10, 0.5)), claim) == [FAILS]


def test_the_best_of_several_is_the_one_to_match() -> None:
    claim = replace(DICE, kind="non-inferior", target=-0.01, against=("smp-unet", "monai-unet"))
    rows = _rows(multitask=np.full(10, 0.5), smp_unet=np.full(10, 0.4), monai_unet=0.6 + UP)
    (verdict,) = judge([claim], {"phantom": rows})
    assert (verdict.word, verdict.against) == (FAILS, "monai-unet")
    (verdict,) = judge([claim], {"phantom": rows[rows["arm"] != "monai-unet"]})
    assert verdict.word == MISSING  # the best one may be the one that is missing


def test_a_family_is_corrected_as_it_was_named() -> None:
    p = 2 / 1024
    family = [replace(DICE, sentence=f"claim {n}") for n in range(25)]
    rows = _rows(multitask=0.5 + UP, single=np.full(10, 0.5))
    assert _judge(rows, *family) == [HOLDS] * 25
    assert _judge(rows, *family, replace(DICE, sentence="one more")) == [FAILS] * 26
    unknown = [replace(claim, experiment="real") for claim in family[1:]]
    (verdict, *_) = judge([family[0], *unknown], {"phantom": rows})
    assert verdict.adjusted == pytest.approx(25 * p) == holm([p] + [1.0] * 24)[0]
    apart = [replace(claim, family=claim.sentence) for claim in family]
    assert judge(apart, {"phantom": rows})[0].adjusted == pytest.approx(p)


def test_a_value_holds_where_its_interval_is_above() -> None:
    claim = replace(DICE, kind="at least", against=(), target=0.93)
    assert _judge(_rows(multitask=0.93 + UP), claim) == [HOLDS]
    assert _judge(_rows(multitask=0.93 + np.array([-1, 1.5] * 5) / 100), claim) == [FAILS]


def test_a_ratio_is_of_pairs() -> None:
    claim = replace(DICE, kind="ratio", head="-", metric="images_per_s", target=0.97)
    bare = np.linspace(50, 100, 10)  # a machine whose speed changes
    jitter = 1 + np.array([1, -1] * 5) / 1000
    (verdict,) = judge([claim], {"phantom": _rows("images_per_s", "-", multitask=0.98 * bare * jitter, single=bare)})
    assert verdict.word == HOLDS
    assert verdict.estimate is not None
    assert verdict.estimate.mean == pytest.approx(0.98, abs=1e-5)
    assert _judge(_rows("images_per_s", "-", multitask=0.96 * bare * jitter, single=bare), claim) == [FAILS]


def test_a_share_of_a_way_is_of_means() -> None:
    claim = replace(DICE, kind="share", against=("alone", "pooled"), target=0.9)
    alone, noise = np.full(10, 0.5), np.array([1, -1] * 5) / 1000
    rows = _rows(alone=alone, multitask=alone + 0.096 + noise, pooled=alone + 0.1)
    (verdict,) = judge([claim], {"phantom": rows})
    assert verdict.word == HOLDS
    assert verdict.estimate is not None
    assert verdict.estimate.mean == pytest.approx(0.96)
    assert 0.9 < verdict.estimate.low < 0.96 < verdict.estimate.high
    assert _judge(_rows(alone=alone, multitask=alone + 0.08 + noise, pooled=alone + 0.1), claim) == [FAILS]
    (none,) = judge([claim], {"phantom": _rows(alone=alone, multitask=alone + 0.02, pooled=alone + 0.02)})
    assert (none.word, none.missing) == (MISSING, "pooled is +.020 from alone: no gap to close")
    wild = _rows(alone=alone, multitask=alone + 0.02, pooled=alone + np.array([0.5, -0.4] * 5))
    assert judge([claim], {"phantom": wild})[0].word == MISSING, "the way itself may be none"
    fewer = replace(claim, metric="mae")
    rows = _rows("mae", alone=2 + alone, multitask=1 + alone + noise, pooled=1 + alone)
    assert judge([fewer], {"phantom": rows})[0].estimate.mean == pytest.approx(1)


def test_an_early_round_is_held_against_the_others_last() -> None:
    late = _rows(multitask=np.full(10, 0.9), single=0.5 - UP)
    early = _rows("dice.round-10", multitask=np.full(10, 0.5), single=np.full(10, 0.9))
    assert _judge(pd.concat([late, early]), replace(DICE, round=10)) == [HOLDS]
    assert _judge(late, replace(DICE, round=10)) == [MISSING]


def test_all_at_once() -> None:
    good = replace(DICE, family="parts")
    bad, unknown = replace(good, arm="single", against=("multitask",)), replace(good, experiment="real")
    rows = _rows(multitask=0.5 + UP, single=np.full(10, 0.5))
    for parts, word in (((good,), HOLDS), ((good, unknown), MISSING), ((good, unknown, bad), FAILS)):
        assert _judge(rows, *parts, AtOnce("parts", "all", parts))[-1] == word


def test_folds_are_dependent() -> None:
    differences = UP + 0.02  # clear of 0 for ten independent runs, and for folds
    close = np.array([1.0, 1, 1, 1, 1, 1, 1, 1, -0.5, -0.5]) / 100
    folds = replace(DICE, protocol=Protocol(10, folds=5))
    assert _judge(_rows(multitask=0.5 + differences, single=np.full(10, 0.5)), DICE, folds) == [HOLDS, HOLDS]
    rows = _rows(multitask=0.5 + close, single=np.full(10, 0.5))
    assert [judge([c], {"phantom": rows})[0].word for c in (replace(DICE, family="a"), folds)] == [HOLDS, FAILS]


def test_the_claims_can_be_judged() -> None:
    found = claims()
    assert len(set(found)) == len(found)
    parts = [claim for claim in found if isinstance(claim, Claim)]
    for claim in parts:
        assert claim.head == "-" or claim.metric in metrics()
        assert (claim.target == 0) == (claim.kind == "superior")
        if claim.kind in ("at least", "non-inferior"):  # in mm, no fixed margin is small
            assert metrics()[claim.metric].higher_is_better
    superior = [claim.family for claim in parts if claim.kind == "superior"]
    assert max(map(superior.count, superior)) <= 25  # or ten seeds cannot show anything
    assert {v.word for v in judge(found, {})} == {MISSING}
