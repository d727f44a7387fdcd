import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest

from mtmed.errors import UserError
from mtmed.evaluation.record import absences, ranges, size
from mtmed.evaluation.report import Report, render
from mtmed.types import SiteEvaluation

SECTIONS = [
    "headline",
    "sites",
    "learning",
    "examples",
    "calibration",
    "contribution",
    "cost",
    "lineage",
    "reading",
]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a test wants of a page: what could be fetched, images, ids, and whether tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        self.fetched += [v for k, v in attrs if k in ("src", "srcset", "href", "action", "data", "poster") and v]
        self.ids += [found["id"]] if found.get("id") else []
        if tag == "img":
            self.images.append(found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(report, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "deep" / "report.html"
    render(report, path)
    return path.read_text()


def rendered(report: Report, path) -> str:
    render(report, path)
    return path.read_text()


def test_the_page_is_whole(text):
    page = Page(text)
    assert page.open == []
    assert [i for i in page.ids if i in SECTIONS] == SECTIONS
    assert len(page.images) == 9  # six figures, three overlays
    assert all(len(image["alt"]) > 20 for image in page.images)


def test_the_page_fetches_nothing(text):
    page = Page(text)
    assert all(f.startswith(("data:image/", "#")) for f in page.fetched)
    assert not page.tags & {"script", "link", "iframe", "object", "base"}
    assert not re.search(r"https?:|url\(|@import", text)


def test_what_a_reader_looks_for(text):
    for expected in ("0.647", "of the gap to pooled data closed", "not for mammography", "not labelled here"):
        assert expected in text
    assert "cedar sent nothing in 2 rounds: 4–5." in text
    assert "no medical device" in text
    assert "Bootstrap over patients" in text
    assert not re.search(r"\b(nan|None)\b", re.sub(r'src="[^"]*"', "", text))


def test_the_calibration_before_and_after(text):
    section = text[text.index('<section id="calibration">') : text.index('<section id="contribution">')]
    cells = [re.sub("<[^>]*>", " ", row).split() for row in section.split("<tr>")[2:]]
    joined = [" ".join(row) for row in cells]
    federated = next(row for row in joined if row.startswith("Lesion segmentation Federated"))
    assert "Federated 1.80 27 images at 3 sites" in federated
    before, after = map(float, re.search(r"3 sites ([\d.]+) ([\d.]+)", federated).groups())
    assert before > after
    assert any(row.startswith("Malignancy Federated 4.00 190 images at 2 sites; at the limit") for row in joined)
    assert any(row.startswith("Malignancy Site alone — each site its own") for row in joined)
    untouched = next(row for row in joined if row.startswith("Pneumonia Federated"))
    same = re.search(r"not scaled: no validation label ([\d.]+) ([\d.]+)", untouched).groups()
    assert same[0] == same[1]


def test_the_same_report_gives_the_same_bytes(report, text, tmp_path):
    assert rendered(report, tmp_path / "again.html") == text


def test_without_pictures_the_page_says_why(report, tmp_path):
    text = rendered(replace(report, overlays=()), tmp_path / "r.html")
    assert "images, masks and overlays stay at the sites" in text


def test_a_run_that_recorded_nothing(report, tmp_path):
    nothing = pd.DataFrame()
    empty = replace(
        report,
        evaluations=[],
        overlays=(),
        rounds=nothing,
        contributions=nothing,
        refused=nothing,
        traffic=nothing,
        seconds=nothing,
        temperatures=nothing,
    )
    text = rendered(empty, tmp_path / "r.html")
    page = Page(text)
    assert page.open == []
    assert page.images == []
    assert text.count("site not evaluated") == 12  # the other four are of the wrong modality
    for said in (
        "No site has been evaluated yet",
        "No training losses were",
        "No contributions were",
        "No times were",
    ):
        assert said in text


def test_a_frame_without_a_column_is_refused(report, tmp_path):
    with pytest.raises(UserError, match="traffic lack sent: expected round, site, sent, received"):
        render(replace(report, traffic=report.traffic.drop(columns="sent")), tmp_path / "r.html")


def test_missing_models(report, evaluations, tmp_path):
    alone = [SiteEvaluation(e.site, {"local": e.heads["local"]}) for e in evaluations]
    text = rendered(replace(report, evaluations=alone), tmp_path / "r.html")
    assert "No site has a value for the federated model" in text
    assert "no global and no pooled model was evaluated" in text
    assert "no federated model" in text


def test_sites_named_by_numbers(report, tmp_path):
    frame = pd.DataFrame([(1, 7, "train/pneumonia", 0.5)], columns=["round", "site", "name", "value"])
    shares = pd.DataFrame([(1, 7, "pneumonia", 3, 1.0)], columns=[*report.contributions.columns])
    text = rendered(replace(report, rounds=frame, contributions=shares), tmp_path / "r.html")
    assert '<th scope="row">7</th>' in text


def test_names_are_text_not_markup(report, tmp_path):
    text = rendered(replace(report, title="<script>alert(1)</script>"), tmp_path / "r.html")
    assert "<script>" not in text


def test_rounds_in_few_words():
    assert ranges([3, 1, 2, 7]) == "1–3, 7"
    assert ranges([]) == ""


def test_sizes():
    assert [size(n) for n in (12, 3_200, 13_900_000, 2.5e12)] == ["12 B", "3.2 kB", "13.9 MB", "2500.0 GB"]


def test_a_site_that_never_came_is_named(report):
    table = report.contributions
    gone = replace(report, contributions=table[table["site"] != "birch"])
    assert "birch sent nothing in 10 rounds: 1–10." in absences(gone)


def test_a_refused_update_is_told_with_its_reason(report, tmp_path):
    table = report.contributions
    without = table[(table["site"] != "birch") | (table["round"] != 3)]
    refused = pd.DataFrame([(3, "birch", "it is not finite in 'encoder.w'")], columns=["round", "site", "reason"])
    told = replace(report, contributions=without, refused=refused)
    assert absences(told)[0] == "birch, round 3: its update was refused; it is not finite in 'encoder.w'."
    assert not [line for line in absences(told) if "birch sent nothing" in line]
    assert "its update was refused; it is not finite" in rendered(told, tmp_path / "r.html")
