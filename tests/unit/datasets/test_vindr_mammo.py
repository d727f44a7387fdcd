import pickle

import numpy as np
import pytest

from mtmed.data.quality import clip_boxes
from mtmed.datasets import vindr_mammo
from mtmed.errors import UserError
from tests.shapes import vindr_mammo as shape
from tests.shapes import write_lines

TABLE = "finding_annotations.csv"


@pytest.fixture
def folder(tmp_path):
    shape.write(tmp_path)
    return tmp_path


@pytest.fixture
def images(folder):
    return list(vindr_mammo.exams(folder))


def with_rows(folder, *rows):
    write_lines(folder / TABLE, shape.HEADER, *rows)
    return list(vindr_mammo.exams(folder))


def boxes_of(exam, term):
    return [box for name, box in exam.boxes if name == term]


def test_rows_of_an_image_are_one_study_of_its_study_as_patient(images):
    assert [exam.study for exam in images] == shape.IMAGES
    assert [shape.STUDIES.index(exam.patient) for exam in images] == [0] * 4 + [1] * 4 + [2] * 2
    assert all(exam.image.is_file() for exam in images)
    assert [(exam.laterality, exam.view) for exam in images[:3]] == [("L", "CC"), ("L", "MLO"), ("R", "CC")]


def test_boxes_that_leave_their_image_are_cut(images):
    assert boxes_of(images[0], "mass") == [(10.5, 20.25, 20, 40)]
    assert boxes_of(images[0], "calcification") == [(0, 5, 12, 64)]
    clip_boxes(np.array([box for exam in images for _, box in exam.boxes]), shape.HEIGHT, shape.WIDTH)


def test_a_row_of_several_categories_is_one_box_under_each(images, read, folder):
    assert {term for term, box in images[0].boxes if box == (0, 5, 12, 64)} == {"lesion", "calcification", "asymmetry"}
    heads = {"lesion_detection": {"lesion": ["calcification", "asymmetry"]}}
    assert len(read("vindr_mammo", folder, heads=heads)[0].boxes["lesion_detection"][0]) == 1


def test_only_a_negative_breast_is_known_to_have_nothing(images):
    negative, benign, other_view = images[2], images[4], images[1]
    assert negative.all_boxes == {*vindr_mammo.MARKED, "suspicious"}
    assert {negative.values[term] for term in vindr_mammo.MARKED} == {0}
    for exam in (benign, other_view):  # "No Finding" means that nothing is worse than benign
        assert exam.all_boxes == {"suspicious"}
        assert not set(exam.values) & set(vindr_mammo.MARKED)


def test_a_finding_in_a_breast_that_is_called_negative_takes_nothing_for_absent(folder):
    exam = with_rows(folder, shape.row(0, 0, "L", "CC", 1, "['Mass']", "BI-RADS 4", (1, 1, 9, 9)))[0]
    assert exam.all_boxes == {"suspicious"}
    assert {t: v for t, v in exam.values.items() if t in vindr_mammo.MARKED} == {"lesion": 1, "mass": 1}


def test_an_image_with_a_finding_says_nothing_of_other_kinds(images):
    assert not set(vindr_mammo.MARKED) & images[0].all_boxes
    assert {t for t in vindr_mammo.MARKED if t in images[0].values} == {"lesion", "mass", "calcification", "asymmetry"}


def test_suspicious_boxes_are_complete_unless_a_finding_may_be_one(images):
    assert len(boxes_of(images[9], "suspicious")) == 2
    assert "suspicious" in images[9].all_boxes
    assert boxes_of(images[0], "suspicious") == [(10.5, 20.25, 20, 40)]
    assert not any("suspicious" in images[n].all_boxes for n in (0, 6, 8))  # BI-RADS 3, 3, and none stated


def test_bi_rads_is_not_pathology(images):
    assert [exam.values.get("suspicious") for exam in images] == [1, 1, 0, 0, 0, 0, None, None, 1, 1]
    assert not any("malignant" in exam.values for exam in images)


def test_density_and_what_is_dense(images):
    assert [(images[n].measurements["density"], images[n].values["dense"]) for n in (0, 4)] == [(3, 1), (1, 0)]


def test_the_official_split(images, read, folder):
    assert [exam.split for exam in images] == ["train"] * 4 + ["test"] * 4 + ["train"] * 2
    assert {study.split for study in read("vindr_mammo", folder)} == {""}
    assert [s.split for s in read("vindr_mammo", folder, split="official")] == [exam.split for exam in images]


def test_scanners_are_attributes_where_the_metadata_are_there(images, tmp_path_factory):
    assert images[0].attributes == {
        **{"assessment": "BI-RADS 4", "density": "DENSITY C", "manufacturer": "SIEMENS"},
        **{"model": "Mammomat Inspiration", "age": "053Y"},
    }
    bare = tmp_path_factory.mktemp("bare")
    shape.write(bare, metadata=False)
    assert set(next(iter(vindr_mammo.exams(bare))).attributes) == {"assessment", "density"}


def test_a_finding_without_a_box_is_known_and_its_place_is_not(folder):
    exam = with_rows(folder, shape.row(0, 0, "L", "CC", 4, "['Mass']", "BI-RADS 4"))[0]
    assert not exam.fault
    assert not exam.boxes
    assert not exam.all_boxes
    assert exam.values["mass"] == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"box": (1, 2, 3, "x")}, "box not understood"),
        ({"box": (1, 2, "", 4)}, "box not understood"),
        ({"box": (1, 2, "nan", 4)}, "box outside the image"),
        ({"box": (100, 2, 120, 4)}, "box outside the image: expected one within 48 x 64"),
        ({"box": (9, 2, 3, 4)}, "box outside the image"),
        ({"findings": "['Tumour of Jane Doe']", "box": (1, 2, 3, 4)}, "finding_categories not understood"),
        ({"findings": "Mass"}, "finding_categories not understood"),
        ({"findings": ""}, "finding_categories not understood"),
        ({"findings": "__import__('os')"}, "finding_categories not understood"),
    ],
)
def test_a_row_that_is_something_else_is_a_fault_of_one_image(folder, change, reason):
    changed = {"findings": "['Mass']", "finding": "BI-RADS 4", **change}
    broken, fine = with_rows(folder, shape.row(0, 0, "L", "CC", 4, **changed), shape.ROWS[3])
    assert reason in broken.fault
    assert "Jane" not in broken.fault
    assert "\n" not in broken.fault
    assert not broken.values
    assert not fine.fault


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "..", "a/b", "..\\x", ""])
@pytest.mark.parametrize("column", [0, 2])
def test_a_path_that_leads_out_is_a_fault_and_never_a_path(folder, name, column):
    cells = shape.ROWS[2].split(",")
    cells[column] = name
    broken, fine = with_rows(folder, ",".join(cells), shape.ROWS[3])
    assert broken.fault.startswith("ids not understood")
    assert broken.image == folder / "images"
    assert not fine.fault


def test_an_image_of_two_patients_is_a_fault(folder):
    rows = [shape.row(0, study, "L", "CC", 4, "['Mass']", "BI-RADS 4", (1, 1, 9, 9)) for study in (0, 1)]
    assert with_rows(folder, *rows)[0].fault.startswith("an image of several studies")


def test_columns_that_are_missing(folder):
    write_lines(folder / TABLE, shape.HEADER.replace("breast_birads", "birads"))
    with pytest.raises(UserError, match="no column 'breast_birads'"):
        list(vindr_mammo.exams(folder))


def test_no_pixel_is_read_before_it_is_asked_for(images, folder):
    for exam in images:
        exam.image.write_bytes(b"")
    assert list(vindr_mammo.exams(folder)) == images


def test_exams_travel_to_other_processes(images):
    assert pickle.loads(pickle.dumps(images)) == images
