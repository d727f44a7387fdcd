import pickle
import plistlib

import numpy as np
import pytest

from mtmed.data.quality import BadStudy, clip_boxes
from mtmed.datasets import inbreast
from mtmed.errors import UserError
from tests.shapes import inbreast as shape
from tests.shapes import write_lines

SHAPE = (64, 48)
FIRST = "20586908"
BOMB = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist [
<!ENTITY a0 "ha">
{}
]>
<plist version="1.0"><dict><key>Images</key><string>&a30;</string></dict></plist>
""".format("\n".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(30)))


@pytest.fixture
def folder(tmp_path):
    shape.write(tmp_path)
    return tmp_path


def by_name(folder):
    return {exam.study: exam for exam in inbreast.exams(folder)}


def with_contours(folder, *contours):
    shape.write_contours(folder / f"AllXML/{FIRST}.xml", *contours)
    return by_name(folder)[FIRST]


def test_patients_are_of_the_file_name_for_the_table_removed_them(folder):
    assert [e.patient for e in inbreast.exams(folder)] == ["6c613a14b80a8591"] * 3 + ["5530d5782fc89dd7"] * 2


def test_the_view_is_the_tables_and_not_the_file_names(folder):
    assert [e.view for e in inbreast.exams(folder)] == ["CC", "CC", "MLO", "FB", "MLO"]
    assert [e.laterality for e in inbreast.exams(folder)] == ["R", "L", "R", "L", "L"]


def test_points_are_x_then_y(folder):
    mask = by_name(folder)[FIRST].masks["mass"](SHAPE)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 40, 10, 20)
    assert mask.sum() == 21 * 11
    assert ("mass", (9.5, 19.5, 20.5, 40.5)) in by_name(folder)[FIRST].boxes


def test_a_contour_of_one_point_does_not_vanish(folder):
    exam = by_name(folder)[FIRST]
    mask = exam.masks["calcification"](SHAPE)
    assert mask[50, 30]
    assert 20 < mask.sum() < 50
    assert ("calcification", (26.75, 47.0, 33.75, 54.0)) in exam.boxes


@pytest.mark.parametrize(
    "points", [((9.0, 9.0), (20.0, 9.0)), ((9.0, 9.0), (12.0, 9.0), (20.0, 9.0)), ((9.2, 9.2),) * 4]
)
def test_a_line_does_not_vanish(folder, points):
    mask = with_contours(folder, ("Mass", points)).masks["mass"](SHAPE)
    assert all(mask[round(y), round(x)] for x, y in points)


def test_a_lesion_is_what_any_contour_shows(folder):
    exam = by_name(folder)[FIRST]
    union = exam.masks["mass"](SHAPE) | exam.masks["calcification"](SHAPE)
    np.testing.assert_array_equal(exam.masks["lesion"](SHAPE), union)


def test_what_nobody_outlined_where_others_are_is_absent(folder):
    exam = by_name(folder)[FIRST]
    assert set(exam.masks) == exam.all_boxes == set(inbreast.MARKED)
    assert not exam.masks["distortion"](SHAPE).any()
    assert exam.values["distortion"] == 0
    assert exam.values["mass"] == exam.values["lesion"] == 1


def test_a_normal_image_has_no_file_and_no_finding(folder):
    exam = by_name(folder)["20586934"]
    assert set(exam.masks) == exam.all_boxes == set(inbreast.MARKED)
    assert not any(load(SHAPE).any() for load in exam.masks.values())
    assert exam.values["lesion"] == exam.values["suspicious"] == 0


def test_a_lost_file_of_a_finding_is_no_negative(folder):
    (folder / f"AllXML/{FIRST}.xml").unlink()
    exam = by_name(folder)[FIRST]
    assert not exam.masks
    assert not exam.all_boxes
    assert set(exam.values) == {"suspicious", "dense"}
    assert set(exam.measurements) == {"density"}
    assert not exam.fault


def test_a_contour_without_a_kind_is_a_lesion_and_makes_other_kinds_unknown(folder):
    exam = by_name(folder)["22580192"]
    assert set(exam.masks) == exam.all_boxes == {"lesion"}
    assert exam.masks["lesion"](SHAPE)[32, 24]
    assert [term for term, _ in exam.boxes] == ["lesion", "lesion", "mass"]
    assert {t: exam.values.get(t) for t in ("lesion", "mass", "calcification")} == {
        **{"lesion": 1, "mass": 1, "calcification": None}
    }


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("Mass", {"mass"}),
        ("Calcifications", {"calcification"}),
        ("Cluster", {"calcification", "cluster"}),
        ("Spiculated  region", {"spiculation"}),
        ("Espiculated Region", {"spiculation"}),
        ("ASSYMETRY", {"asymmetry"}),
        ("Distortion ", {"distortion"}),
        ("Unnamed", set()),
        ("Point 3", set()),
    ],
)
def test_names_as_they_are_spelt(folder, name, kinds):
    exam = with_contours(folder, (name, shape.SQUARE))
    assert {term for term, _ in exam.boxes} == {"lesion", *kinds}


def test_the_pectoral_muscle_is_no_finding(folder):
    exam = with_contours(folder, ("Pectoral Muscle", shape.SQUARE))
    assert not exam.boxes
    assert not exam.masks["lesion"](SHAPE).any()


@pytest.mark.parametrize(
    ("assessment", "suspicious"),
    [("1", 0), ("2", 0), ("3", None), ("4a", 1), ("4b", 1), ("4c", 1), ("5", 1), ("6", 1), ("", None), ("x", None)],
)
def test_bi_rads_is_not_pathology(folder, assessment, suspicious):
    write_lines(folder / "INbreast.csv", shape.HEADER, f"removed;removed;R;CC;201001;{FIRST};4;{assessment}")
    exam = by_name(folder)[FIRST]
    assert exam.values.get("suspicious") == suspicious
    assert "malignant" not in exam.values


def test_density_where_it_is_stated(folder):
    values = [(e.measurements.get("density"), e.values.get("dense")) for e in inbreast.exams(folder)]
    assert values == [(4, 1), (4, 1), (2, 0), (None, None), (1, 0)]


def test_a_billion_laughs_are_a_fault_of_one_image(folder):
    (folder / f"AllXML/{FIRST}.xml").write_text(BOMB)
    exams = by_name(folder)
    assert "entity declarations are not supported" in exams[FIRST].fault
    assert not any(exam.fault for name, exam in exams.items() if name != FIRST)


def test_an_entity_that_names_a_file_is_not_read(folder):
    (folder / "secret").write_text("secret")
    (folder / f"AllXML/{FIRST}.xml").write_text(
        f'<!DOCTYPE plist [<!ENTITY x SYSTEM "{folder / "secret"}">]><plist><string>&x;</string></plist>'
    )
    assert "secret" not in by_name(folder)[FIRST].fault
    assert by_name(folder)[FIRST].fault


@pytest.mark.parametrize(
    "content",
    [b"", b"not XML", b"<plist><dict/></plist>", b"<plist><array><integer>Jane Doe</integer></array></plist>"]
    + [plistlib.dumps(x) for x in ({"Images": []}, {"Images": [{"NumberOfROIs": 1}]}, {"Images": [{"ROIs": 3}]})],
)
def test_a_file_that_is_something_else_is_a_fault_in_one_line(folder, content):
    (folder / f"AllXML/{FIRST}.xml").write_bytes(content)
    fault = by_name(folder)[FIRST].fault
    assert fault.startswith("contours not understood")
    assert "\n" not in fault
    assert "Jane" not in fault


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"NumberOfPoints": 5}, "as many points"),
        ({"Point_px": ["(1, 2)", "(3)", "(4, 5)", "(6, 7)"]}, "as many points"),
        ({"Point_px": ["__import__('os')"], "NumberOfPoints": 1}, "as many points"),
        ({"Point_px": [], "NumberOfPoints": 0}, "as many points"),
        ({"Point_px": [f"({'9' * 400}, 1)"], "NumberOfPoints": 1}, "points in pixels of an image"),
    ],
)
def test_contours_cut_short(folder, change, reason):
    path = folder / f"AllXML/{FIRST}.xml"
    content = plistlib.loads(path.read_bytes())
    content["Images"][0]["ROIs"][0] |= change
    path.write_bytes(plistlib.dumps(content))
    assert reason in by_name(folder)[FIRST].fault


def test_contours_that_are_missing(folder):
    path = folder / f"AllXML/{FIRST}.xml"
    content = plistlib.loads(path.read_bytes())
    content["Images"][0]["ROIs"].pop()
    path.write_bytes(plistlib.dumps(content))
    assert "expected 2 as NumberOfROIs says, got 1" in by_name(folder)[FIRST].fault


def test_a_contour_that_leaves_the_image_is_cut_and_one_outside_is_refused(folder):
    exam = with_contours(folder, ("Mass", ((40.0, 30.0), (60.0, 30.0), (60.0, 40.0), (40.0, 40.0))))
    assert exam.masks["mass"](SHAPE)[35, 47]
    clip_boxes(np.array([box for _, box in exam.boxes]), *SHAPE)
    exam = with_contours(folder, ("Mass", shape.SQUARE), ("Mass", ((400.0, 30.0), (600.0, 30.0), (600.0, 40.0))))
    with pytest.raises(BadStudy, match="contour outside the image"):
        exam.masks["mass"](SHAPE)


@pytest.mark.parametrize("name", ["99999999", "../../etc/passwd", ""])
def test_a_row_without_an_image_is_a_fault_of_one_image(folder, name):
    write_lines(folder / "INbreast.csv", shape.HEADER, f"removed;;R;CC;201001;{name};4;5", shape.ROWS[1])
    broken, fine = inbreast.exams(folder)
    assert broken.fault.startswith("no image of this row")
    assert broken.image.is_relative_to(folder)
    assert not fine.fault


def test_a_table_with_commas(folder):
    write_lines(folder / "INbreast.csv", shape.HEADER.replace(";", ","))
    with pytest.raises(UserError, match="expected columns separated by ';', found ','"):
        by_name(folder)


def test_no_pixel_is_read_before_it_is_asked_for(folder):
    before = by_name(folder)
    for exam in before.values():
        exam.image.write_bytes(b"")
    assert {name: exam.boxes for name, exam in by_name(folder).items()} == {n: e.boxes for n, e in before.items()}


def test_exams_travel_to_other_processes(folder):
    for exam in inbreast.exams(folder):
        again = pickle.loads(pickle.dumps(exam))
        assert all(np.array_equal(again.masks[t](SHAPE), exam.masks[t](SHAPE)) for t in exam.masks)
