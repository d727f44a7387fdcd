"""A head whose metrics are errors in mm: lower is better, and no fixed difference is small."""

from dataclasses import replace

import numpy as np
import pytest
from four_hospitals import HEADS, PRIMARY

from mtmed.evaluation import glossary
from mtmed.evaluation.gap import gap_closed
from mtmed.evaluation.head import evaluate_head
from mtmed.evaluation.page import page
from mtmed.evaluation.report import render
from mtmed.evaluation.summary import summary
from mtmed.evaluation.tables import over_sites
from mtmed.heads import regression
from mtmed.types import HeadEvaluation, HeadSpec, SiteEvaluation

SIZE = HeadSpec("lesion_size", "regression", ("diameter_mm",), ("mammography", "chest_xray"))


def site(name, **models):
    """A site with an error of each model, and replicates a tenth of it to both sides."""
    around = np.linspace(0.9, 1.1, 41)
    heads = {
        m: {"lesion_size": HeadEvaluation({"mae": v}, {"mae": (v * around).tolist()}, {}, 10, 5)}
        for m, v in models.items()
    }
    return SiteEvaluation(name, heads)


def gap(scale=1.0, **models):
    (found,) = gap_closed([site("a", **{m: scale * v for m, v in models.items()})], {"lesion_size": "mae"})
    return found


def test_the_worst_site_has_the_largest_error():
    found = over_sites([site("a", **{"global": 4.0}), site("b", **{"global": 6.0})]).iloc[0]
    assert (found["macro"], found["worst"], found["worst_site"]) == (5.0, 6.0, "b")
    tracking = pytest.importorskip("tasks.tracking")
    assert tracking._worst("validation/lesion_size/mae", [4.0, 6.0]) == 6.0
    assert tracking._worst("validation/lesion_size/concordance", [0.4, 0.6]) == 0.4


@pytest.mark.parametrize("scale", [0.01, 1, 1000])
def test_the_gap_does_not_depend_on_the_unit(scale):
    found = gap(scale, local=10.0, pooled=6.0, **{"global": 7.0})
    assert found.share == pytest.approx(0.75)
    assert found.low == pytest.approx(0.75)
    none = gap(scale, local=10.0, pooled=9.8, **{"global": 9.9})
    assert none.share is None
    assert "no gap to close" in none.reason


@pytest.mark.parametrize("pooled", [0.0, 3.0])
def test_no_error_is_no_gap(pooled):
    assert gap(local=0.0, pooled=pooled, **{"global": 0.0}).share is None


def test_the_summary_has_the_largest_error():
    found = summary([site("a", **{"global": 4.0}), site("b", **{"global": 6.0})], {"lesion_size": "mae"})
    assert found["global"]["lesion_size"]["mae"] == {"macro": 5.0, "worst": 6.0}


def test_a_head_without_probabilities_has_no_calibration():
    seen = [
        regression.Observation(*np.array([[p], [t]], np.float32), np.ones(1, bool))
        for p, t in [(4, 5), (8, 6), (12, 12), (20, 25)]
    ]
    found = evaluate_head(seen, list("aabc"), regression.metrics, regression.probabilities, 30, 0)
    assert found.metrics["mae"] == 2
    assert found.calibration == {}
    assert {"mae", "median_error", "concordance"} == set(found.metrics)
    assert len(found.replicates["mae"]) == 30
    assert len(found.replicates["concordance"]) < 30  # undefined where one patient alone was drawn


@pytest.fixture(scope="module")
def measured(report):
    """The four hospitals with one head more."""
    values = {"local": (9.0, 11.0), "global": (6.5, 7.5), "pooled": (6.0, 7.0)}
    more = [site(name, **{m: v[i] for m, v in values.items()}) for i, name in enumerate(("alder", "birch"))]
    by_site = {e.site: e.heads for e in more}
    evaluations = [
        replace(e, heads={m: {**heads, **by_site.get(e.site, {}).get(m, {})} for m, heads in e.heads.items()})
        for e in report.evaluations
    ]
    heads = [*HEADS, SIZE]
    return replace(report, heads=heads, primary={**PRIMARY, "regression": "mae"}, evaluations=evaluations)


def test_the_page_says_which_way_is_better(measured):
    found = page(measured)
    card = found["cards"][-1]
    assert card["metric"] == found["heads"][-1]["metric"] == "Mean absolute error, lower is better"
    assert (card["mean"]["macro"], card["mean"]["worst_site"]) == (7.0, "birch")
    assert card["gap"].share == pytest.approx(3 / 3.5)
    places = {dot["model"]: dot["left"] for dot in card["track"]}
    assert places["local"] < places["global"] < places["pooled"], "the better is to the right"
    assert 0 <= min(places.values()) < max(places.values()) <= 100
    other = {dot["model"]: dot["left"] for dot in found["cards"][0]["track"]}
    assert other["local"] < other["global"] < other["pooled"]
    assert "Mean absolute error" in dict(found["definitions"])
    assert "Lesion size" not in {row["head"] for row in found["calibration"]}


def test_the_page_is_rendered(measured, tmp_path):
    render(measured, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "Mean absolute error, lower is better" in text
    assert "at least 3 % of the site&#39;s own error" in text


def test_an_unknown_metric_keeps_its_name():
    assert glossary.term("some_new_metric").label == "Some new metric"
    assert glossary.directed("auroc") == "AUROC"
    assert glossary.directed("calibration_error") == "Calibration error, lower is better"
