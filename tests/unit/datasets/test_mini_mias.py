import csv
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from mtmed.data import pixels
from mtmed.data.exam import surrounding
from mtmed.data.quality import BadStudy
from mtmed.datasets import mini_mias
from mtmed.errors import UserError
from tests.shapes import mini_mias as shape

SHAPE = (1024, 1024)


@pytest.fixture
def folder(tmp_path):
    shape.write(tmp_path)
    return tmp_path


@pytest.fixture
def films(folder):
    return {exam.study: exam for exam in mini_mias.exams(folder)}


def with_rows(folder, *rows):
    shape.write_table(folder, *rows)
    return list(mini_mias.exams(folder))


def test_rows_of_a_film_are_one_study_and_what_is_no_film_is_left_out(films):
    assert list(films) == list(shape.FILMS)
    assert [surrounding(draw(SHAPE)) for term, draw in films["mdb005"].boxes if term == "lesion"] == [
        (448, 862, 507, 921),
        (475, 831, 526, 882),
    ]


def test_the_origin_is_bottom_left(folder):
    mask = with_rows(folder, "mdb001 G CIRC B 535 425 60")[0].masks["mass"](SHAPE)
    assert mask[1024 - 425, 535]
    assert not mask[425, 535]
    rows, columns = np.nonzero(mask)
    assert (rows.mean(), columns.mean()) == pytest.approx((1024 - 425, 535), abs=0.5)
    assert mask.sum() == pytest.approx(np.pi * 60**2, rel=0.01)


def test_a_circle_that_leaves_the_film_is_cut(films):
    mask = films["mdb060"].masks["distortion"](SHAPE)
    assert 0 < mask.sum() <= np.pi * 3**2
    assert surrounding(films["mdb060"].boxes[0][1](SHAPE)) == (298, 2, 303, 7)


def test_circles_are_counted_in_films_of_1024_pixels_so_boxes_too(films):
    with pytest.raises(BadStudy, match="film of another size: expected 1024 x 1024"):
        films["mdb060"].boxes[0][1]((512, 512))


@pytest.mark.parametrize("film", ["mdb059", "mdb216"])
def test_without_a_location_the_class_is_known_and_the_place_is_not(films, film):
    exam = films[film]
    assert not exam.masks
    assert not exam.boxes
    assert not exam.all_boxes
    assert exam.values["lesion"] == 1
    assert exam.values["mass" if film == "mdb059" else "calcification"] == 1
    assert exam.values["malignant"] == (film == "mdb216")


def test_a_normal_film_is_known_to_have_nothing(films):
    exam = films["mdb002"]
    assert set(exam.masks) == exam.all_boxes == set(mini_mias.MARKED)
    assert not any(load(SHAPE).any() for load in exam.masks.values())
    assert {exam.values[term] for term in ("malignant", *mini_mias.MARKED)} == {0}


def test_an_abnormal_film_says_nothing_of_other_classes(films):
    exam = films["mdb215"]
    assert set(exam.masks) == exam.all_boxes == {"lesion", "asymmetry"}
    assert set(exam.values) == {"lesion", "asymmetry", "malignant", "dense"}


def test_one_malignant_lesion_makes_a_malignant_film(folder):
    rows = ("mdb144 F MISC B 233 994 29", "mdb144 F MISC M 313 540 27")
    assert [exam.values["malignant"] for exam in with_rows(folder, *rows)] == [1]


def test_fatty_and_dense_tissue_are_told_apart_and_what_lies_between_is_not(films):
    assert [films[f].values.get("dense") for f in ("mdb005", "mdb215", "mdb001")] == [0, 1, None]


def test_patients_are_pairs_and_even_numbers_are_left(films):
    assert [e.patient for e in films.values()] == [
        *("mias_001", "mias_001", "mias_003", "mias_003", "mias_030", "mias_030", "mias_108", "mias_108")
    ]
    assert [films[f].laterality for f in ("mdb001", "mdb002")] == ["R", "L"]
    assert {exam.view for exam in films.values()} == {"MLO"}


def test_jpeg_copies_are_found_and_the_archives_own_files_are_preferred(folder, tmp_path_factory):
    copies = tmp_path_factory.mktemp("copies")
    shape.write(copies, suffix=".jpg")
    assert {exam.image.suffix for exam in mini_mias.exams(copies)} == {".jpg"}
    (copies / "mdb001.jpg").rename(folder / "mdb001.jpg")
    assert {exam.image.suffix for exam in mini_mias.exams(folder)} == {".pgm"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("mdb001 G CIRC B 535 425", "circle not understood"),
        ("mdb001 G CIRC B 535 425 big", "circle not understood"),
        ("mdb001 G CIRC B 535 425 0", "expected a radius of at least 1"),
        ("mdb001 G LUMP B 535 425 30", "row of Info.txt not understood"),
        ("mdb001 G CIRC", "row of Info.txt not understood"),
        ("mdb001 G NORM B", "row of Info.txt not understood"),
    ],
)
def test_a_row_that_is_something_else_is_a_fault_of_one_film(folder, row, reason):
    broken, fine = with_rows(folder, row, "mdb002 G NORM")
    assert reason in broken.fault
    assert "\n" not in broken.fault
    assert not broken.values
    assert not broken.masks
    assert not fine.fault


def test_a_film_that_is_normal_and_is_not_is_a_fault(folder):
    assert with_rows(folder, "mdb001 G NORM", "mdb001 G CIRC B 535 425 30")[0].fault


def test_a_film_of_another_size_has_no_disc(films):
    with pytest.raises(BadStudy, match="expected 1024 x 1024 pixels, got 512 x 512"):
        films["mdb001"].masks["mass"]((512, 512))


def test_a_circle_on_no_film(folder):
    exam = with_rows(folder, "mdb001 G CIRC B 4000 425 30")[0]
    with pytest.raises(BadStudy, match="circle outside the film"):
        exam.masks["mass"](SHAPE)


def test_a_table_without_rows(folder):
    with pytest.raises(UserError, match="expected rows like 'mdb001"):
        with_rows(folder)


def test_no_pixel_is_read_before_it_is_asked_for(folder, films):
    for exam in films.values():
        exam.image.write_bytes(b"")
    assert [exam.values for exam in mini_mias.exams(folder)] == [exam.values for exam in films.values()]


def test_exams_travel_to_other_processes(films):
    for exam in films.values():
        again = pickle.loads(pickle.dumps(exam))
        assert all(np.array_equal(again.masks[t](SHAPE), exam.masks[t](SHAPE)) for t in exam.masks)


def test_the_original_table_agrees_with_labels_that_were_converted_without_this_reader(real):
    films = {exam.study: exam for exam in mini_mias.exams(real / "originals/mammo_mias")}
    assert len(films) == 322
    assert not any(exam.fault for exam in films.values())
    with (real / "mammo_mias/manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        exam = films[row["orig_name"].split(".")[0]]
        assert (exam.patient, exam.laterality, exam.view) == (row["patient_id"], row["laterality"], row["view"])
        assert exam.values["malignant"] == (row["label"] == "malignant")
        assert exam.values["lesion"] == (row["label"] != "normal")
        assert ("lesion" in exam.all_boxes) == ("lesion" in exam.masks) == (row["location_complete"] == "True")
        np.testing.assert_allclose(_xywh(exam, real / "mammo_mias" / row["image"]), _converted(row), atol=0.5)


def _xywh(exam, converted):
    """The boxes in pixels of the smaller copy."""
    with Image.open(converted) as file:
        scale = file.width / 1024
    drawn = [surrounding(draw(SHAPE)) for term, draw in exam.boxes if term == "lesion"]
    boxes = np.array(drawn).reshape(-1, 4) * scale
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def _converted(row):
    return np.array([box["xywh"] for box in json.loads(row["lesion_boxes"])]).reshape(-1, 4)


def test_original_films_carry_discs_where_the_converted_masks_have_them(real):
    found = [exam for exam in mini_mias.exams(real / "originals/mammo_mias") if exam.image.is_file()]
    assert [exam.study for exam in found] == ["mdb005", "mdb028", "mdb063", "mdb184"]
    for exam in found:
        shape = pixels.read(exam.image).image.shape
        converted = pixels.read_mask(real / "mammo_mias/lesion_masks" / f"{exam.study}.png") > 0
        disc = Image.fromarray(exam.masks["lesion"](shape)).resize(converted.shape[::-1], Image.Resampling.NEAREST)
        overlap = np.logical_and(disc, converted).sum() / np.logical_or(disc, converted).sum()
        assert overlap > 0.9


def test_a_film_is_as_wide_as_the_table_says_at_any_size(read, folder):
    assert {study.extent_mm for study in read("mini_mias", folder)} == {(204.8, 204.8)}
