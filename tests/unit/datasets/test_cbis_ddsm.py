import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from mtmed.data import annotation
from mtmed.data.quality import BadStudy
from mtmed.datasets import cbis_ddsm
from mtmed.errors import UserError
from tests.shapes import cbis_ddsm as shape
from tests.shapes import picture, write_dicom, write_lines

SHAPE = (shape.HEIGHT, shape.WIDTH)
TABLE = "mass_case_description_train_set.csv"
FIRST, SECOND = shape.LESIONS[:2]
SERIES = f"{shape.UID}.3/{shape.UID}.4"


@pytest.fixture
def folder(tmp_path):
    shape.write(tmp_path)
    return tmp_path


@pytest.fixture
def case(folder):
    """The folder of the first lesion, with its crop and its mask."""
    return folder / "CBIS-DDSM/Mass-Training_P_00001_LEFT_CC_1" / SERIES


def films(folder):
    return {exam.study: exam for exam in cbis_ddsm.exams(folder)}


def first(folder):
    return films(folder)["P_00001_LEFT_CC"]


def test_rows_of_a_film_are_one_study(folder):
    assert tuple(films(folder)) == shape.FILMS
    exam = films(folder)["P_00001_LEFT_MLO"]
    union = shape.mask_of(shape.LESIONS[1]) | shape.mask_of(shape.LESIONS[2])
    np.testing.assert_array_equal(exam.masks["lesion"](SHAPE), union)
    np.testing.assert_array_equal(exam.masks["mass"](SHAPE), union)
    np.testing.assert_array_equal(exam.masks["asymmetry"](SHAPE), shape.mask_of(shape.LESIONS[2]))
    assert (exam.patient, exam.laterality, exam.view) == ("P_00001", "L", "MLO")


def test_a_film_in_tables_of_both_kinds_is_one_study_with_the_lesions_of_both(folder):
    exam = films(folder)["P_00004_LEFT_CC"]
    mass, calcification = (shape.mask_of(shape.LESIONS[n]) for n in (5, 6))
    np.testing.assert_array_equal(exam.masks["mass"](SHAPE), mass)
    np.testing.assert_array_equal(exam.masks["calcification"](SHAPE), calcification)
    np.testing.assert_array_equal(exam.masks["lesion"](SHAPE), mass | calcification)
    assert exam.values["malignant"] == 1  # benign mass, malignant calcifications


def test_a_kind_that_nobody_outlined_is_unknown(folder):
    exams = films(folder)
    assert set(exams["P_00002_RIGHT_MLO"].masks) == {"lesion", "mass"}
    assert set(exams["P_00003_RIGHT_CC"].masks) == {"lesion", "calcification"}
    assert not any(set(exam.values) & set(exam.masks) for exam in exams.values())
    assert {term for term, _ in exams["P_00002_RIGHT_MLO"].boxes} == {"lesion", "mass"}
    assert not any(exam.all_boxes for exam in exams.values())


def test_boxes_surround_the_mask_of_each_lesion_once(folder, read):
    study = next(s for s in read("cbis_ddsm", folder) if s.study == "P_00001_LEFT_MLO")
    sides = [shape.LESIONS[n][-1] for n in (1, 2)]
    xyxy = [[x, y, x + side, y + side] for y, x, side in sides]
    for head in ("lesion_detection", "findings_detection"):
        boxes, classes = study.boxes_within(head, SHAPE)
        assert boxes.tolist() == xyxy, head
        assert classes.tolist() == [0, 0]
    assert study.labelled["findings_detection"].tolist() == [True, False]


def test_a_mask_is_read_once_for_all_heads(folder, read, monkeypatch):
    calls = []
    opened = cbis_ddsm.pixels.read_mask
    monkeypatch.setattr(cbis_ddsm.pixels, "read_mask", lambda path: calls.append(path) or opened(path))
    study = next(s for s in read("cbis_ddsm", folder) if s.study == "P_00002_RIGHT_MLO")
    for head in study.masks:
        assert study.masks[head](SHAPE).any()
    for head in study.boxes:
        study.boxes_within(head, SHAPE)
    assert len(set(calls)) == len(calls) > 0


def test_shapes_of_masses_that_are_distortions_or_asymmetries(folder):
    assert set(first(folder).masks) == {"lesion", "mass", "distortion"}
    assert set(films(folder)["P_00001_LEFT_MLO"].masks) == {"lesion", "mass", "asymmetry"}


def test_benign_without_callback_is_benign(folder):
    values = {name: exam.values["malignant"] for name, exam in films(folder).items()}
    assert [values[name] for name in shape.FILMS] == [1, 0, 0, 1, 0, 0]


def test_assessments_of_3_and_0_are_neither_suspicious_nor_not(folder):
    values = {name: exam.values.get("suspicious") for name, exam in films(folder).items()}
    assert [values[name] for name in shape.FILMS] == [1, None, 0, 1, 0, None]


def test_density_0_is_no_density(folder):
    exams = films(folder)
    values = {name: (exam.measurements.get("density"), exam.values.get("dense")) for name, exam in exams.items()}
    assert [values[name] for name in shape.FILMS] == [(3, 1), (3, 1), (None, None), (2, 0), (1, 0), (4, 1)]


def test_the_official_split_and_a_film_of_both_is_for_test(folder):
    splits = {name: exam.split for name, exam in films(folder).items()}
    assert [splits[name] for name in shape.FILMS] == ["train", "train", "test", "test", "train", "test"]


def test_attributes_join_what_rows_say(folder):
    assert films(folder)["P_00004_LEFT_CC"].attributes == {
        **{"density": "2", "assessment": "4|5", "pathology": "BENIGN|MALIGNANT", "subtlety": "4"}
    }


def test_the_older_tables_and_their_backslashes(folder):
    rows = [shape.row(lesion, separator="\\") for lesion in shape.LESIONS if lesion[0] == "Mass-Training"]
    before = films(folder)
    write_lines(folder / TABLE, shape.OLDER, *rows)
    for name, exam in films(folder).items():
        assert exam.image == before[name].image
        assert exam.image.is_file()
        assert exam.values == before[name].values
        assert all(np.array_equal(exam.masks[t](SHAPE), before[name].masks[t](SHAPE)) for t in before[name].masks)


def test_a_line_break_within_a_path(folder):
    film_folder = shape.film(FIRST)
    text = (folder / TABLE).read_text()
    assert f'"{film_folder}_1/' in text
    (folder / TABLE).write_text(text.replace(f'"{film_folder}_1/', f'"{film_folder}\n_1/'))
    np.testing.assert_array_equal(first(folder).masks["mass"](SHAPE), shape.mask_of(FIRST))


@pytest.mark.parametrize("names", [("1-1.dcm", "1-2.dcm"), ("1-2.dcm", "1-1.dcm")])
def test_files_that_the_download_renamed(folder, names):
    """`names`: what becomes of 000000.dcm and of 000001.dcm; folders are renamed by the date, too."""
    for path in sorted(folder.rglob("*.dcm")):
        path.rename(path.with_name(names[int(path.stem)]))
    for path in sorted(folder.rglob(f"{shape.UID}.[13]")):
        path.rename(path.with_name("07-20-2016-DDSM-NA-74994"))
    for lesion, exam in zip((FIRST, SECOND), list(films(folder).values())[:2], strict=True):
        assert exam.image.is_file()
        assert (exam.masks["mass"](SHAPE) & shape.mask_of(lesion)).sum() == shape.mask_of(lesion).sum()


def test_crop_and_mask_that_are_swapped(folder, case):
    (case / "000000.dcm").rename(case / "crop")
    (case / "000001.dcm").rename(case / "000000.dcm")
    (case / "crop").rename(case / "000001.dcm")
    np.testing.assert_array_equal(first(folder).masks["mass"](SHAPE), shape.mask_of(FIRST))


def test_a_crop_of_two_values_is_not_taken_for_the_mask(folder, case):
    small = np.zeros((32, 24), np.uint8)  # of the film's proportions
    small[:9] = 255
    write_dicom(case / "000000.dcm", shape.mask_of(FIRST, SHAPE).astype(np.uint8) * 255, "MG")
    write_dicom(case / "000001.dcm", small, "MG")
    np.testing.assert_array_equal(first(folder).masks["mass"](SHAPE), shape.mask_of(FIRST))
    larger = np.kron(shape.mask_of(FIRST), np.ones((2, 2), bool))
    write_dicom(case / "000000.dcm", larger.astype(np.uint8) * 255, "MG")
    np.testing.assert_array_equal(first(folder).masks["mass"](SHAPE), shape.mask_of(FIRST))


def test_masks_as_png(folder, case):
    for path in case.iterdir():
        path.unlink()
    Image.fromarray(picture(1, 20, 18)).save(case / "1-2.png")
    Image.fromarray(shape.mask_of(FIRST).astype(np.uint8) * 255).save(case / "1-1.png")
    np.testing.assert_array_equal(first(folder).masks["mass"](SHAPE), shape.mask_of(FIRST))


def test_a_mask_of_another_size_is_resized_where_the_proportions_agree(folder):
    mask = first(folder).masks["mass"]((128, 96))
    np.testing.assert_array_equal(mask, np.kron(shape.mask_of(FIRST), np.ones((2, 2), bool)))
    rounded = first(folder).masks["mass"]((73, 55))  # 64 x 48 times 1.145
    assert rounded.sum() == pytest.approx(shape.mask_of(FIRST).sum() * 1.145**2, rel=0.2)


@pytest.mark.parametrize("at", range(0, 64, 7))
def test_a_small_lesion_does_not_vanish(at):
    mask = np.zeros((64, 48), bool)
    mask[at, at % 48] = True
    small = annotation.resized(mask, (16, 12))
    assert small.sum() == 1
    assert small[at // 4, at % 48 // 4]


@pytest.mark.parametrize(("film", "mask"), [((4688, 3088), (4624, 3056)), ((4624, 3080), (4640, 3072))])
def test_masks_of_other_proportions_that_were_reported(film, mask):
    with pytest.raises(BadStudy, match="mask of other proportions: expected those of 46"):
        annotation.resized(np.ones(mask, bool), film)


@pytest.mark.parametrize(
    ("film", "mask"), [((4386, 1789), (5041, 2056)), ((4373, 2155), (5026, 2476)), ((4686, 3186), (5386, 3661))]
)
def test_masks_of_the_same_proportions_that_were_reported(film, mask):
    assert annotation.resized(np.ones(mask, bool), film).all()


def test_without_a_mask(folder, case):
    exam = first(folder)
    write_dicom(case / "000001.dcm", np.zeros(SHAPE, np.uint8), "MG")
    with pytest.raises(BadStudy, match="no mask of a lesion"):
        exam.masks["lesion"](SHAPE)
    shutil.rmtree(case)
    with pytest.raises(BadStudy, match="no mask of a lesion"):
        exam.masks["lesion"](SHAPE)


def test_a_crop_that_cannot_be_read_is_no_harm(folder, case):
    (case / "000000.dcm").write_bytes(b"broken")
    (case / "000001.dcm").rename(case / "1-1.dcm")
    np.testing.assert_array_equal(first(folder).masks["mass"](SHAPE), shape.mask_of(FIRST))


def test_a_film_that_was_not_downloaded_is_named(folder):
    shutil.rmtree(folder / "CBIS-DDSM/Mass-Training_P_00001_LEFT_CC")
    exam = first(folder)
    assert not exam.image.exists()
    assert exam.image.is_relative_to(folder)


def test_several_files_of_a_film_are_a_fault(folder):
    series = folder / f"CBIS-DDSM/Mass-Training_P_00001_LEFT_CC/{shape.UID}.1/{shape.UID}.2"
    (series / "000000.dcm").rename(series / "1-1.dcm")
    shutil.copy(series / "1-1.dcm", series / "1-2.dcm")
    assert first(folder).fault.startswith("several images of a film")


def test_a_second_copy_and_what_an_archive_of_macos_adds_are_no_harm(folder):
    before = films(folder)
    shutil.copytree(folder / "CBIS-DDSM", folder / "again/CBIS-DDSM")
    shutil.copytree(folder / "CBIS-DDSM", folder / "__MACOSX/CBIS-DDSM")
    for path in (folder / "CBIS-DDSM").rglob("*.dcm"):
        path.with_name(f"._{path.name}").write_bytes(b"resource fork")
    exams = films(folder)
    assert not any(exam.fault for exam in exams.values())
    for name, exam in before.items():
        np.testing.assert_array_equal(exams[name].masks["lesion"](SHAPE), exam.masks["lesion"](SHAPE))


def test_folders_of_cases_lie_where_the_download_put_them(tmp_path):
    shape.write(tmp_path, below="images/manifest-ZkhPvrLo/CBIS-DDSM")
    assert all(exam.image.is_file() for exam in cbis_ddsm.exams(tmp_path))
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(UserError, match="lacks folders like Mass-Training_P_00001_LEFT_CC"):
        films(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Mass-Training_P_00001_LEFT_CC/", "../Mass-Training_P_00001_LEFT_CC/", "path not understood"),
        ("Mass-Training_P_00001_LEFT_CC/", "/etc/Mass-Training_P_00001_LEFT_CC/", "path not understood"),
        (f"LEFT_CC/{shape.UID}.1", "LEFT_CC/../../..", "path not understood"),
        ("Mass-Training_P_00001_LEFT_CC/", "etc/", "path not understood"),
        (f"LEFT_CC_1/{shape.UID}.3", "LEFT_CC_1\\..\\..", "path not understood"),
        ("Mass-Training_P_00001_LEFT_CC/", "Mass-Training_P_00001_LEFT_MLO/", "path of another film"),
        ("Mass-Training_P_00001_LEFT_CC_1/", "Mass-Training_P_00009_LEFT_CC_1/", "path of another film"),
        ("MALIGNANT", "Jane Doe", "pathology not understood"),
        ("P_00001,3,LEFT,CC", "Jane Doe,3,LEFT,CC", "film not understood"),
        ("P_00001,3,LEFT,CC", "P_00001,3,BOTH,CC", "film not understood"),
    ],
)
def test_a_row_that_is_something_else_is_a_fault_of_one_film(folder, old, new, reason):
    lines = shape.row(FIRST).replace(old, new), shape.row(SECOND)
    write_lines(folder / TABLE, shape.MASSES, *lines)
    broken, fine = list(films(folder).values())[:2]
    assert broken.fault.startswith(reason)
    assert "Jane" not in broken.fault
    assert "\n" not in broken.fault
    assert broken.image.is_relative_to(folder)
    assert not broken.masks
    assert not fine.fault


def test_pathology_that_is_not_stated_is_unknown(folder):
    write_lines(folder / TABLE, shape.MASSES, shape.row(SECOND).replace("BENIGN", ""), shape.row(shape.LESIONS[2]))
    exam = films(folder)["P_00001_LEFT_MLO"]
    assert not exam.fault
    assert "malignant" not in exam.values


@pytest.mark.parametrize("header", [shape.MASSES.replace("image view", "angle"), shape.OLDER.replace("mask_path", "m")])
def test_a_column_that_is_missing(folder, header):
    write_lines(folder / TABLE, header)
    with pytest.raises(
        UserError, match=r"expected a column '(image view' or 'view|ROI mask file path' or 'mask_path)'"
    ):
        films(folder)


def test_all_four_tables_are_needed_for_a_film_may_be_in_two(folder):
    (folder / "calc_case_description_train_set.csv").unlink()
    with pytest.raises(UserError, match=r"lacks calc_case_description_train_set\.csv"):
        films(folder)


def test_no_pixel_is_read_before_it_is_asked_for(folder):
    before = films(folder)
    for path in folder.rglob("*.dcm"):
        path.write_bytes(b"")
    assert [e.values for e in films(folder).values()] == [e.values for e in before.values()]


def test_exams_travel_to_other_processes(folder):
    for exam in cbis_ddsm.exams(folder):
        again = pickle.loads(pickle.dumps(exam))
        assert all(np.array_equal(again.masks[t](SHAPE), exam.masks[t](SHAPE)) for t in exam.masks)
