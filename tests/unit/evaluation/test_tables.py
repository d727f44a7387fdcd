import json

import pytest
from four_hospitals import HEADS, PRIMARY, SITE_SHIFT

from mtmed.evaluation.gap import gap_closed
from mtmed.evaluation.summary import summary
from mtmed.evaluation.tables import COLUMNS, over_sites, primary_metrics, site_table, values
from mtmed.types import HeadEvaluation, SiteEvaluation

HEAD = {"pneumonia": "auroc"}


def site(name: str, spread: float = 0.01, metric: str = "auroc", **models: float) -> SiteEvaluation:
    """A site whose replicates lie evenly around the value of each model."""
    around = [spread * (i - 20) / 20 for i in range(41)]
    heads = {
        m: {"pneumonia": HeadEvaluation({metric: v}, {metric: [v + a for a in around]}, {}, 10, 5)}
        for m, v in models.items()
    }
    return SiteEvaluation(name, heads)


def test_site_by_head(evaluations):
    table = site_table(evaluations)
    assert list(table.columns) == COLUMNS
    assert set(table["site"]) == set(SITE_SHIFT)
    assert (table["low"] < table["high"]).all()
    assert not len(table.query("site == 'birch' and head == 'lesion_segmentation'"))
    assert site_table([]).empty


def test_mean_and_worst_site():
    means = over_sites([site("a", **{"global": 0.7}), site("b", **{"global": 0.9})]).iloc[0]
    assert (means["macro"], means["worst"], means["worst_site"], means["sites"]) == (0.8, 0.7, "a", 2)
    assert means["low"] < 0.8 < means["high"]


def test_the_worst_calibration_is_the_largest():
    found = [site(n, metric="calibration_error", **{"global": v}) for n, v in (("a", 0.1), ("b", 0.3))]
    assert over_sites(found).iloc[0]["worst_site"] == "b"


def test_the_order_of_sites_does_not_matter(evaluations):
    assert site_table(evaluations).equals(site_table(evaluations[::-1]))
    assert over_sites(evaluations).equals(over_sites(evaluations[::-1]))


def test_primary_metrics_of_heads():
    assert primary_metrics(HEADS, PRIMARY)["lesion_detection"] == "map50"
    assert primary_metrics(HEADS, {}) == {}


def test_half_of_the_gap():
    (gap,) = gap_closed([site("a", local=0.6, pooled=0.8, **{"global": 0.7})], HEAD)
    assert gap.share == pytest.approx(0.5)
    assert gap.low == pytest.approx(gap.high) == pytest.approx(0.5)  # paired replicates move together
    assert gap.reason == ""


def test_a_ratio_of_means_not_a_mean_of_ratios():
    found = [
        site("a", local=0.5, pooled=0.9, **{"global": 0.9}),
        site("b", local=0.6, pooled=0.7, **{"global": 0.6}),
    ]
    assert gap_closed(found, HEAD)[0].share == pytest.approx(0.4 / 0.5)


def test_only_sites_with_all_three_models_count():
    found = [site("a", local=0.6, pooled=0.8, **{"global": 0.8}), site("b", local=0.1, **{"global": 0.1})]
    gap = gap_closed(found, HEAD)[0]
    assert gap.sites == ("a",)
    assert gap.share == pytest.approx(1)


@pytest.mark.parametrize("pooled", [0.6, 0.62, 0.5])
def test_no_gap_to_close(pooled):
    gap = gap_closed([site("a", local=0.6, pooled=pooled, **{"global": 0.7})], HEAD)[0]
    assert gap.share is None
    assert "no gap to close" in gap.reason
    assert gap.pooled == pooled


def test_lower_is_better_turns_the_gap_round():
    found = [site("a", metric="calibration_error", local=0.3, pooled=0.1, **{"global": 0.15})]
    assert gap_closed(found, {"pneumonia": "calibration_error"})[0].share == pytest.approx(0.75)


def test_an_uncertain_gap_has_no_interval():
    low = site("a", spread=0.2, local=0.6, pooled=0.65, **{"global": 0.62})
    pooled = low.heads["pooled"]["pneumonia"]
    turned = HeadEvaluation(pooled.metrics, {"auroc": pooled.replicates["auroc"][::-1]}, {}, 10, 5)
    gap = gap_closed([SiteEvaluation("a", {**low.heads, "pooled": {"pneumonia": turned}})], HEAD)[0]
    assert gap.share == pytest.approx(0.4)
    assert gap.low is None
    assert "the gap itself is uncertain" in gap.reason


def test_missing_models_are_named():
    gap = gap_closed([site("a", **{"global": 0.7})], HEAD)[0]
    assert gap.share is None
    assert gap.reason == "no local and no pooled model was evaluated"


def test_the_summary_holds_numbers_only(evaluations):
    found = summary(evaluations, primary_metrics(HEADS, PRIMARY))
    numbers = found["global"]["lesion_segmentation"]["dice"]
    assert set(numbers) == {"macro", "worst"}
    assert numbers["worst"] <= numbers["macro"]
    assert set(found["gap_closed"]) <= {h.name for h in HEADS}
    assert "null" not in json.dumps(found, allow_nan=False)
    assert "gap_closed" not in summary([site("a", **{"global": 0.7})], HEAD)


def test_values_by_site(evaluations):
    assert list(values(evaluations, "global", "pneumonia", "auroc")) == ["cedar", "dogwood"]
