import matplotlib
import numpy as np
import pandas as pd
import pytest

from mtmed.evaluation import figures
from mtmed.evaluation.tables import site_table


def test_nothing_to_draw(report):
    nothing = pd.DataFrame(columns=["round", "site", "name", "value"])
    assert figures.curves(nothing, {"malignancy": "train/malignancy"}, "Loss") is None
    assert figures.reliability({"malignancy": {"global": {}}}) is None
    assert figures.forest(site_table([]), {"malignancy": "auroc"}) is None
    assert figures.contributions(report.contributions.iloc[:0], ["malignancy"], ["alder"]) is None
    assert figures.seconds(pd.DataFrame({"stage": ["a"], "seconds": [0.0]})) is None


def test_a_figure_is_the_same_every_time_and_leaves_no_trace(report):
    before = dict(matplotlib.rcParams)
    drawn = [figures.seconds(report.seconds) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] is not None
    assert drawn[0].startswith("<svg")
    assert "Local training 6 min 52 s" in drawn[0]
    assert dict(matplotlib.rcParams) == before


def test_many_sites_and_one_round():
    names = [f"hospital_{i:02d}" for i in range(30)]
    rounds = pd.DataFrame({"round": 1, "site": names, "name": "train/x", "value": np.arange(30.0)})
    text = figures.curves(rounds, {"x": "train/x"}, "Loss")
    assert text is not None
    assert all(name in text for name in names)


@pytest.mark.parametrize(
    ("value", "expected"), [(3.21, "3.2 s"), (38, "38 s"), (95.2, "1 min 35 s"), (7260, "2 h 1 min")]
)
def test_durations(value, expected):
    assert figures.duration(value) == expected
