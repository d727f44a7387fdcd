"""Sites out of one data set: nobody is split, nothing depends on the order of files, and alpha does what it says."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtmed.data.partition import Rule, parse, partition, read_part, sites_of_values, table
from mtmed.data.patients import Count, Patient, gather, total
from mtmed.data.raw import RawStudy
from mtmed.errors import UserError
from mtmed.types import HeadSpec

SITES = ("north", "east", "south")
RULES = [Rule("even"), Rule("scanner"), Rule("labels", alpha=0.5), Rule("quantity", alpha=1), Rule("natural")]


def crowd(number, positive=0.3, values=("a", "b", "c")):
    """Patients of whom a share is positive, with values in turn."""
    rng = np.random.default_rng(number)
    return [
        Patient(f"p{n:04}", 2, values[n % len(values)], {"sick": Count(2, int(rng.random() < positive))})
        for n in range(number)
    ]


def shares(patients, where, site):
    """Share of positives among a site's patients."""
    there = [p for p in patients if where[p.name] == site]
    return sum(p.combination == ("sick+",) for p in there) / len(there)


@st.composite
def crowds(draw):
    names = draw(st.lists(st.text(min_size=1), min_size=6, max_size=60, unique=True))
    value, sick = st.sampled_from("abc"), st.sampled_from([{}, {"sick": Count(1, 0)}, {"sick": Count(3, 2)}])
    found = [Patient(name, 1, draw(value), draw(sick)) for name in names]
    return [replace(p, value="abc"[n]) if n < 3 else p for n, p in enumerate(found)]


@settings(max_examples=60)
@given(crowds(), st.sampled_from(RULES), st.integers(0, 5), st.randoms())
def test_everybody_is_somewhere_whatever_the_order(patients, rule, seed, random):
    where = partition(patients, SITES, rule, seed, at_least=1)
    assert where.keys() == {p.name for p in patients}
    assert set(where.values()) == set(SITES)
    assert list(where) == sorted(where)
    random.shuffle(patients)
    assert list(partition(patients, SITES, rule, seed, at_least=1).items()) == list(where.items())


@settings(max_examples=60)
@given(st.integers(2, 60), st.integers(2, 6), st.integers(0, 5))
def test_even_is_even(number, sites, seed):
    names = [f"s{k}" for k in range(sites)]
    if number < sites:
        return
    sizes = Counter(partition(crowd(number), names, Rule("even"), seed, at_least=1).values())
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_another_seed_deals_others():
    patients = crowd(60)
    for rule in RULES[:-1]:
        assert partition(patients, SITES, rule, 0) != partition(patients, SITES, rule, 1)
    assert partition(patients, SITES, RULES[-1], 0) == partition(patients, SITES, RULES[-1], 1)


def test_a_smaller_alpha_makes_labels_differ_more():
    patients = crowd(600)
    spread = {
        alpha: np.mean([
            np.ptp([shares(patients, partition(patients, SITES, Rule("labels", alpha=alpha), seed), s) for s in SITES])
            for seed in range(12)
        ])
        for alpha in (0.1, 1, 100)
    }  # fmt: skip
    assert spread[100] < 0.1
    assert spread[100] < spread[1] / 2
    assert spread[1] < spread[0.1]


def test_labels_leave_no_site_much_larger_than_its_share():
    patients = crowd(600)
    for seed in range(6):
        sizes = Counter(partition(patients, SITES, Rule("labels", alpha=0.1), seed).values())
        assert max(sizes.values()) <= 200 + 420  # its equal share, and the combination that filled it


def test_combinations_of_one_patient_go_to_any_site():
    """Rounding the shares would send every one of them to the last site."""
    patients = [Patient(f"p{n:03}", 1, "", {f"rare{n}": Count(1, 1)}) for n in range(300)]
    sizes = Counter(partition(patients, SITES, Rule("labels", alpha=1), 0).values())
    assert min(sizes.values()) > 80


def test_a_smaller_alpha_makes_sizes_differ_more():
    def spread(alpha):
        found = (
            Counter(partition(crowd(600), SITES, Rule("quantity", alpha=alpha), seed).values()) for seed in range(12)
        )
        return np.mean([max(sizes.values()) - min(sizes.values()) for sizes in found])

    assert spread(1000) < 30 < spread(10) < spread(0.5)


def test_values_stay_together_and_the_most_frequent_come_first():
    patients = crowd(60, values=("a", "a", "a", "b", "b", "c", "d"))
    where = partition(patients, ("x", "y"), Rule("natural"), 0)
    site = {p.value: where[p.name] for p in patients}
    assert all(where[p.name] == site[p.value] for p in patients)
    assert site == {"a": "x", "b": "y", "c": "y", "d": "y"}  # of 26, 18, 8 and 8 patients
    own = partition(patients, sites_of_values(patients), Rule("natural"), 0, at_least=1)
    assert {own[p.name] for p in patients if p.value == "c"} == {"c"}
    assert all(own[p.name] == p.value for p in patients)


@pytest.mark.parametrize("unit", ["", "Y", ".5"])
def test_numbers_become_ranges(unit):
    patients = crowd(90, values=[f"{age:03}{unit}" for age in range(30)])
    where = partition(patients, SITES, Rule("natural"), 0)
    of = [{float(p.value.rstrip("Y")) for p in patients if where[p.name] == site} for site in SITES]
    assert max(of[0]) < min(of[1]) <= max(of[1]) < min(of[2])
    assert set(Counter(where.values()).values()) == {30}


def test_as_many_numbers_as_sites_are_a_site_each():
    patients = crowd(60, values=("10", "2", "2", "2"))
    where = partition(patients, sites_of_values(patients), Rule("natural"), 0)
    assert sites_of_values(patients) == ["2", "10"]
    assert all(where[p.name] == p.value for p in patients)


def test_names_of_sites_are_made_of_values():
    def named(*values):
        return sites_of_values([Patient(str(n), value=v) for n, v in enumerate(values)])

    assert named("St. Mary's", "St. Mary's", "", "Selenia/3") == ["St-Mary-s", "unknown", "Selenia-3"]
    with pytest.raises(UserError, match="'a b' and 'a/b' would both be a site 'a-b'"):
        named("a b", "a/b")


@pytest.mark.parametrize(
    ("sites", "rule", "at_least", "text"),
    [
        (("a",), Rule("even"), 1, "sites a: expected two or more different names"),
        (("a", "a"), Rule("even"), 1, "two or more different"),
        (SITES, Rule("even"), 14, "40 patients for 3 sites: expected at least 14 each"),
        (SITES, Rule("quantity", alpha=0.001), 10, "quantity leaves .* with 0 of the patients.*larger alpha"),
        (SITES, Rule("labels", alpha=0.001), 10, "labels leaves .* with .*larger alpha"),
        ((*SITES, "west"), Rule("natural"), 1, "3 values for 4 sites"),
        (SITES, Rule("natural"), 13, None),
    ],
)
def test_what_cannot_be_dealt(sites, rule, at_least, text):
    patients = crowd(40, positive=0)
    if text is None:
        assert len(partition(patients, sites, rule, 0, at_least)) == 40
        return
    with pytest.raises(UserError, match=text):
        partition(patients, sites, rule, 0, at_least)


@pytest.mark.parametrize("text", ["", "evn", "even:1", "even:", "natural", "natural:", "labels", "labels:x", "labels:0",
                                  "labels:nan", "labels:-1", "quantity:inf", "scanner:2"])  # fmt: skip
def test_rules_that_are_none(text):
    with pytest.raises(UserError, match=r"unknown rule|expected"):
        parse(text)


def test_rules():
    assert parse("natural:scanner:model") == Rule("natural", column="scanner:model")
    assert parse("labels:0.5") == Rule("labels", alpha=0.5)
    assert parse("even").name == "even"


HEADS = {
    spec.name: spec
    for spec in (
        HeadSpec("sick", "classification", ("sick",), ("chest_xray",)),
        HeadSpec("many", "classification", ("a", "b"), ("chest_xray",)),
        HeadSpec("boxes", "detection", ("lesion",), ("chest_xray",)),
        HeadSpec("age", "regression", ("age",), ("chest_xray",)),
        HeadSpec("lung", "segmentation", ("lung",), ("chest_xray",)),
    )
}


def study(name, patient, fault="", labels=None, boxes=None, **attributes):
    """`labels`: {head: values}; NaN is not labelled."""
    values = {head: np.array(v, np.float32) for head, v in (labels or {}).items()}
    labelled = {head: ~np.isnan(v) for head, v in values.items()}
    if boxes is not None:
        labelled["boxes"] = np.array([True])
    return RawStudy(
        name, patient, "chest_xray", Path(name), values={h: np.nan_to_num(v) for h, v in values.items()},
        boxes={} if boxes is None else {"boxes": (np.zeros((boxes, 4), np.float32), np.zeros(boxes, np.int64))},
        labelled=labelled, attributes=attributes, fault=fault,
    )  # fmt: skip


def test_patients_are_gathered_from_their_studies():
    nan = float("nan")
    studies = [
        study("1", "p", labels={"sick": [0], "many": [1, nan], "age": [40]}, boxes=0, device="x"),
        study("2", "p", labels={"sick": [1]}, boxes=2, device="y"),
        study("3", "p", device="y"),
        study("4", "q", labels={"sick": [0]}, device="x"),
        study("5", "r", fault="broken", labels={"sick": [1]}, device="x"),
        study("6", "", labels={"sick": [1]}, device="z"),
    ]
    p, q, r = gather(studies, HEADS, "device")
    assert (p.name, p.images, p.value) == ("p", 3, "y")
    assert p.labels == {"sick": Count(2, 1), "many.a": Count(1, 1), "age": Count(1, None), "boxes": Count(2, 1)}
    assert p.combination == ("age?", "boxes+", "many.a+", "sick+")
    assert (q.combination, q.value) == (("sick-",), "x")
    assert (r.images, r.labels, r.combination) == (0, {}, ())
    assert gather(studies[::-1], HEADS, "device") == [p, q, r]
    assert total([p, q, r]) == Patient("", 4, labels={**p.labels, "sick": Count(3, 1)})
    with pytest.raises(UserError, match="unknown column 'devic': expected one of device; did you mean 'device'"):
        gather(studies, HEADS, "devic")
    with pytest.raises(UserError, match="no study of a patient"):
        gather(studies[5:], HEADS)


def test_masks_are_not_opened_to_make_sites():
    def fail(shape):
        raise AssertionError(shape)

    drawn = replace(study("1", "p"), masks={"lung": fail}, labelled={"lung": np.array([True])})
    assert gather([drawn], HEADS)[0].combination == ("lung?",)


@given(st.dictionaries(st.text(min_size=1), st.sampled_from(SITES), min_size=1, max_size=20))
def test_a_table_comes_back(where):
    try:
        text = table(where)
    except UserError:
        assert any(name != name.strip() or not name.isprintable() for name in where)
        return
    path = Path("parts.csv")
    for site in set(where.values()):
        assert _read(path, text, site) == {name for name, there in where.items() if there == site}


def _read(path, text, site):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        (Path(folder) / path).write_text(text, encoding="utf-8")
        return read_part(Path(folder) / path, site)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("patient,site\np,north\n", "unknown site 'nort': expected one of north; did you mean 'north'"),
        ("patient,site\n", r"unknown site 'nort': expected one of \(none\)"),
        ("patient,sit\np,nort\n", "no column 'site'; .*is it 'sit'"),
        ("patient;site\np;nort\n", "expected columns separated by ','"),
        ("patient,site\np,nort\np,east\n", "row 2: a patient who is at another site already"),
        ("patient,site\np,nort\n,nort\n", "row 2: expected a patient and a site, found an empty cell"),
        ("patient,site\np,nort\nq\n", "line 3: expected 2 cells"),
    ],
)
def test_parts_that_are_wrong(tmp_path, text, reason):
    (tmp_path / "parts.csv").write_text(text)
    with pytest.raises(UserError, match=reason) as caught:
        read_part(tmp_path / "parts.csv", "nort")
    assert "\n" not in str(caught.value)


def test_no_part_and_more_columns(tmp_path):
    with pytest.raises(UserError, match=r"no table at .*parts\.csv"):
        read_part(tmp_path / "parts.csv", "north")
    (tmp_path / "parts.csv").write_text("site,note,patient\nnorth,x,p\nnorth,,p\neast,,q\n")
    assert read_part(tmp_path / "parts.csv", "north") == {"p"}
