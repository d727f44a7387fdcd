"""How a table says the targets of each kind of head; the manifest reader's tests show the rest."""

from pathlib import Path

import numpy as np
import pytest

from mtmed.data.exam import Exam, raw_study, surrounding
from mtmed.data.mapping import default_rule, parse
from mtmed.data.quality import BadStudy
from mtmed.errors import UserError
from mtmed.registry import names
from mtmed.types import HeadSpec

SIZE = HeadSpec("lesion_size", "regression", ("diameter_mm", "depth_mm"), ("ultrasound",))
RULE = {"columns": {"diameter_mm": "longest", "depth_mm": "depth"}}


def read(raw, **row):
    return parse(raw, SIZE).labels(row, SIZE, Path)


def test_every_rule_is_of_a_kind_of_head():
    assert set(names("mtmed.data.rules")) <= set(names("mtmed.heads"))


def test_numbers_become_measurements_as_they_are():
    found = read(RULE, longest="12.5", depth="0")
    np.testing.assert_array_equal(found.values, np.array([12.5, 0], np.float32))
    assert found.values.dtype == np.float32
    assert found.labelled.tolist() == [True, True]  # 0 was measured
    assert found.mask is found.boxes is None


def test_what_is_not_there_is_unknown():
    found = read(RULE, longest="", depth="3e1")
    assert found.labelled.tolist() == [False, True]
    assert found.values.tolist() == [0, 30]
    assert read(RULE, longest="", depth="") is None
    assert read(RULE, other="4") is None
    assert read({"columns": {"depth_mm": "depth"}}, diameter_mm="9", depth="4").labelled.tolist() == [False, True]


@pytest.mark.parametrize("cell", ["-1", "12,5", "12.5 mm", "n/a", "nan", "inf", "-inf", "9999999", "<5", "1e39"])
def test_what_is_no_measurement_is_a_fault_of_its_row(cell):
    with pytest.raises(BadStudy, match="measurement not understood: expected a number in 0 to 1000000, got") as caught:
        read(RULE, longest=cell, depth="4")
    assert cell not in str(caught.value).split(", got ")[1]  # what a cell says may name somebody


def test_a_range_says_what_can_be_measured():
    score = {"columns": {"diameter_mm": "t_score"}, "range": [-8, 8]}
    assert read(score, t_score="-2.5").values[0] == -2.5
    with pytest.raises(BadStudy, match="expected a number in -8 to 8, got one outside"):
        read(score, t_score="-999")


def test_only_rows_that_hold_are_measured():
    rule = {**RULE, "where": {"calipers": ["yes"]}}
    assert read(rule, longest="4", calipers="no") is None
    assert read(rule, longest="nonsense", calipers="no") is None
    assert read(rule, longest="4", calipers="Yes").labelled.tolist() == [True, False]
    assert parse(rule, SIZE).columns() == {"longest", "depth", "calipers"}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({}, "mapping of lesion_size.columns: Field required"),
        ({"columns": {}}, "mapping of lesion_size.columns: .* at least 1 item"),
        ({"columns": {"width_mm": "w"}}, "unknown class of head 'lesion_size' 'width_mm'"),
        ({"column": "longest"}, "mapping of lesion_size"),
        ({**RULE, "range": [0, float("inf")]}, "mapping of lesion_size.range.1: .*finite"),
    ],
)
def test_rules_that_are_not_as_expected(raw, reason):
    with pytest.raises(UserError, match=reason):
        parse(raw, SIZE)


def test_columns_of_the_same_name_are_read_without_a_rule():
    rule = default_rule(SIZE, ["image", "diameter_mm"])
    assert rule.columns() == {"diameter_mm"}
    found = rule.labels({"diameter_mm": "7", "depth_mm": "8"}, SIZE, Path)
    assert (found.labelled.tolist(), found.values.tolist()) == ([True, False], [7, 0])
    assert default_rule(SIZE, ["image", "diameter"]) is None


@pytest.mark.parametrize(
    ("name", "kind", "column"),
    [
        ("lung_segmentation", "segmentation", "lung_mask"),
        ("anything", "detection", "lesion_boxes"),
        ("pneumonia", "classification", "label"),
    ],
)
def test_defaults_need_their_column(name, kind, column):
    spec = HeadSpec(name, kind, ("a",), ("chest_xray",))
    assert column in default_rule(spec, [column]).columns()
    assert default_rule(spec, ["image"]) is None


def test_a_kind_that_tables_cannot_say():
    spec = HeadSpec("h", "contrastive", ("a",), ("chest_xray",))
    assert default_rule(spec, ["a"]) is None
    with pytest.raises(UserError, match="head 'h' is a contrastive: only classification, detection, regression, segm"):
        parse({}, spec)


def exam(**measurements):
    return Exam("s", "p", "ultrasound", Path("x.png"), measurements=measurements)


def measured(found, terms=None):
    return raw_study(found, {"lesion_size": SIZE}, {} if terms is None else {"lesion_size": terms}, False)


def test_a_term_of_an_exam_is_a_measurement():
    found = measured(exam(diameter_mm=0.0, normal=1.0))
    assert found.labelled["lesion_size"].tolist() == [True, False]  # 0 is a value, and what is not there is unknown
    assert found.values["lesion_size"].tolist() == [0, 0]
    assert measured(exam(diameter_mm=-2.5, depth_mm=14.0)).values["lesion_size"].tolist() == [-2.5, 14]
    assert "lesion_size" not in measured(exam(normal=1.0)).labelled


def test_terms_may_be_mapped_one_to_a_class():
    found = measured(exam(longest=20.0, depth_mm=3.0), {"diameter_mm": ["longest"]})
    assert found.labelled["lesion_size"].tolist() == [True, False]
    assert found.values["lesion_size"].tolist() == [20, 0]
    with pytest.raises(UserError, match="a measurement is one term of a data set: expected one, got longest, widest"):
        measured(exam(longest=1.0), {"diameter_mm": ["longest", "widest"]})


def test_a_measurement_is_no_class():
    spec = HeadSpec("density", "classification", ("density",), ("ultrasound",))
    assert raw_study(exam(density=4.0), {"density": spec}, {}, False).labelled == {}


FOUND = HeadSpec("findings", "detection", ("mass", "calcification"), ("ultrasound",))
BY_LABEL = {"boxes": "b", "labels": {"mass": ["Mass", "1"], "calcification": ["calc"]}, "complete": [{"all": [True]}]}


def boxed(cell, complete="False"):
    found = parse(BY_LABEL, FOUND).labels({"b": cell, "all": complete}, FOUND, Path)
    return None if found is None else (found.labelled.tolist(), found.boxes[1].tolist())


def test_only_a_class_that_was_found_is_known_where_others_may_be():
    box = '[{"label": "mass", "xywh": [1, 2, 3, 4]}]'
    assert boxed(box) == ([True, False], [0])
    assert boxed(box, "True") == ([True, True], [0])
    assert boxed("[]") is None
    assert boxed("[]", "True") == ([True, True], [])


@pytest.mark.parametrize("label", ['"MASS"', '"mass"', "1"])
def test_labels_of_boxes_are_compared_as_text_in_any_case(label):
    assert boxed(f'[{{"label": {label}, "xywh": [1, 2, 3, 4]}}]') == ([True, False], [0])


@pytest.mark.parametrize(
    "cell",
    [
        *("{}", "[1]", '[{"xywh": "1234"}]', '[{"xywh": [1, 2, 3]}]', '[{"xywh": [1, 2, 3, NaN]}]', "[" * 9999),
        *('[{"xywh": [1, 2, 3, Infinity]}]', f'[{{"xywh": [1, 2, 3, {10**400}]}}]', '[{"xywh": null}]'),
    ],
)
def test_what_are_no_boxes_is_a_fault_of_its_row(cell):
    with pytest.raises(BadStudy, match="boxes not understood"):
        boxed(cell)


def test_the_usual_words_do_not_tell_several_classes():
    two = HeadSpec("malignancy", "classification", ("benign", "malignant"), ("mammography",))
    one = HeadSpec("malignancy", "classification", ("malignant",), ("mammography",))
    assert default_rule(two, ["label"]) is None
    assert default_rule(one, ["label"]).labels({"label": "malignant"}, one, Path).values.tolist() == [1]


def test_a_box_surrounds_what_is_drawn():
    mask = np.zeros((9, 9), bool)
    mask[2:4, 5:8] = True
    assert surrounding(mask) == (5, 2, 8, 4)
    with pytest.raises(BadStudy, match="empty mask of a finding"):
        surrounding(np.zeros((9, 9), bool))
