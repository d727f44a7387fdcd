import csv
import json

import numpy as np
import pytest
from PIL import Image

from mtmed.data import pixels
from mtmed.datasets import chestxray14
from mtmed.types import HeadSpec
from tests.shapes import chestxray14 as shape
from tests.shapes import picture, rsna_pneumonia, write_lines, write_picture

TABLE, BOXES = "Data_Entry_2017_v2020.csv", "BBox_List_2017.csv"
FIRST, SECOND, CLEAR, BOXED, EFFUSION, MASS, LAST = shape.IMAGES


@pytest.fixture
def folder(tmp_path):
    shape.write(tmp_path)
    return tmp_path


@pytest.fixture
def exams(folder):
    """`exams()` -> {name of a film: exam}"""
    return lambda: {exam.study: exam for exam in chestxray14.exams(folder)}


def replaced(folder, number, old, new):
    rows = list(shape.ROWS)
    assert old in rows[number]
    rows[number] = rows[number].replace(old, new)
    write_lines(folder / TABLE, shape.HEADER, *rows)


def test_all_findings_are_known_of_every_film(exams):
    found = {name: {t for t in chestxray14.FINDINGS if exam.values[t]} for name, exam in exams().items()}
    assert found[BOXED] == {"atelectasis", "infiltration", "pneumonia"}
    assert found[MASS] == {"pleural_thickening", "mass"}
    assert found[CLEAR] == set()
    assert [exams()[name].values["no_finding"] for name in (CLEAR, BOXED)] == [1, 0]


def test_no_finding_is_not_called_normal(exams):
    """There may be a fracture or a catheter."""
    assert not any("normal" in exam.values for exam in exams().values())


def test_an_opacity_is_unknown_where_another_finding_may_hide_one(exams):
    values = {name: exam.values.get("opacity") for name, exam in exams().items()}
    assert values[BOXED] == 1
    assert values[CLEAR] == 0
    assert values[EFFUSION] is None


def test_boxes_are_positives_of_one_finding(exams):
    exam = exams()[BOXED]
    assert {term for term, _ in exam.boxes} == {"pneumonia", "infiltration", "opacity", "lesion"}
    assert exam.all_boxes == frozenset()  # atelectasis, which the report has, was not boxed
    assert {term for term, _ in exams()[MASS].boxes} == {"mass", "lesion"}


def test_boxes_of_films_without_any_are_unknown_unless_there_is_no_finding(read, known, folder):
    heads = {s.study: known(s) for s in read("chestxray14", folder)}
    assert heads[BOXED] == {"opacity_detection", "lesion_detection", "pneumonia"}
    assert heads[MASS] == {"lesion_detection", "pneumonia"}
    assert heads[EFFUSION] == {"pneumonia"}
    assert heads[CLEAR] == {"opacity_detection", "lesion_detection", "pneumonia"}
    clear = next(s for s in read("chestxray14", folder) if s.study == CLEAR)
    assert len(clear.boxes["lesion_detection"][0]) == 0


def test_without_the_table_of_boxes_nothing_is_said_of_boxes(read, known, folder):
    (folder / BOXES).unlink()
    assert {head for s in read("chestxray14", folder) for head in known(s)} == {"pneumonia"}


@pytest.mark.parametrize(("height", "width"), [(1024, 1024), (64, 64), (256, 512)])
def test_boxes_are_in_the_pixels_of_the_film_on_disk(tmp_path, height, width):
    shape.write(tmp_path, height=height, width=width)
    exam = {e.study: e for e in chestxray14.exams(tmp_path)}[BOXED]
    (box,) = (box for term, box in exam.boxes if term == "pneumonia")
    across, down = width / 1024, height / 1024
    np.testing.assert_allclose(box, [512 * across, 256 * down, 640 * across, 320.5 * down])


def test_only_films_with_a_box_are_opened(exams, monkeypatch):
    opened, original = [], Image.open
    monkeypatch.setattr(Image, "open", lambda path: opened.append(path.name) or original(path))
    exams()
    assert opened == [BOXED, MASS]


@pytest.mark.parametrize("folders", [("images",), ("images_001", "images_002"), shape.FOLDERS])
def test_folders_of_images(read, tmp_path, folders):
    shape.write(tmp_path, folders)
    found = read("chestxray14", tmp_path)
    assert not any(s.fault for s in found)
    assert {s.image.parent for s in found} == {tmp_path / f for f in folders}


def test_patients_are_those_of_rsna_pneumonia(read, folder, tmp_path_factory):
    """One patient, one fold, at both sites."""
    assert [s.patient for s in read("chestxray14", folder)][:4] == ["00000001", "00000001", "00000002", "00000150"]
    other = tmp_path_factory.mktemp("rsna")
    rsna_pneumonia.write(other)
    entries = [{"subset_img_id": i, "img_id": n} for i, n in zip(rsna_pneumonia.IDS, shape.IMAGES, strict=False)]
    (other / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(entries))
    pairs = zip(read("rsna_pneumonia", other), read("chestxray14", folder), strict=False)
    assert [a.patient == b.patient for a, b in pairs] == [True] * 6


def test_view_and_attributes(exams):
    exam = exams()[BOXED]
    assert exam.view == "AP"
    assert exam.attributes == {"age": "55", "sex": "F", "view": "AP", "follow_up": "2"}


def test_the_official_split(read, folder):
    split = {s.study: s.split for s in read("chestxray14", folder, split="official")}
    assert {name for name, part in split.items() if part == "test"} == set(shape.TEST)
    assert set(split.values()) == {"train", "test"}
    assert {s.split for s in read("chestxray14", folder)} == {""}


def test_a_film_in_no_list_has_no_official_split(read, folder):
    write_lines(folder / "train_val_list.txt", FIRST, SECOND, CLEAR)
    faults = {s.study: s.fault for s in read("chestxray14", folder, split="official") if s.fault}
    assert list(faults) == [LAST]
    assert faults[LAST].startswith("no official split")
    assert not any(s.fault for s in read("chestxray14", folder))


def test_archives_that_were_not_unpacked(read, folder):
    (folder / shape.FOLDERS[0] / CLEAR).unlink()
    assert [s.study for s in read("chestxray14", folder) if s.fault] == [CLEAR]
    present = read("chestxray14", folder, films="present")
    assert [s.study for s in present] == [name for name in shape.IMAGES if name != CLEAR]


@pytest.mark.parametrize("name", ["../secret.png", "images_001/../../secret.png", "{folder}/secret.png"])
def test_a_name_that_leads_out_of_the_folders(read, folder, name):
    write_picture(folder.parent / "secret.png", picture(9))
    write_lines(folder / BOXES, *shape.BOXES, f"{name},Mass,1,1,9,9,,,")
    row = shape.ROWS[0].replace(FIRST, name.format(folder=folder.parent))
    write_lines(folder / TABLE, shape.HEADER, *shape.ROWS, row)
    study = read("chestxray14", folder)[-1]
    assert study.fault.startswith("no film of this name")
    assert not study.image.is_file()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("No Finding", "Jane Doe", "findings not understood: expected No Finding"),
        ("No Finding", "", "findings not understood"),
        ("No Finding", "No Finding|Mass", "findings not understood"),
        ("0,2,80", "0,3,80", "patient not understood: expected a Patient ID that"),
        ("0,2,80", "0,,80", "patient not understood"),
        ("0,2,80", "0,two,80", "patient not understood"),
    ],
)
def test_a_row_that_cannot_be_used(exams, folder, old, new, fault):
    replaced(folder, 2, old, new)
    faults = {name: exam.fault for name, exam in exams().items() if exam.fault}
    assert list(faults) == [CLEAR]
    assert faults[CLEAR].startswith(fault)
    assert "Jane" not in faults[CLEAR]


@pytest.mark.parametrize(
    "row", ["{},Mass,1,2,x,4,,,", "{},Mass,,,,,,,", "{},Jane Doe,1,2,3,4,,,", "{},Hernia,1,2,3,4,,,"]
)
def test_a_box_that_is_not_understood_is_a_fault_of_its_film(exams, folder, row):
    write_lines(folder / BOXES, *shape.BOXES, row.format(FIRST))
    faults = {name: exam.fault for name, exam in exams().items() if exam.fault}
    assert list(faults) == [FIRST]
    assert faults[FIRST].startswith("box not understood: expected")
    assert "Jane" not in faults[FIRST]


def test_a_film_with_boxes_that_is_no_picture(exams, folder):
    (folder / shape.FOLDERS[1] / MASS).write_text("not a picture")
    assert [name for name, exam in exams().items() if exam.fault] == [MASS]
    assert exams()[MASS].fault.startswith("unreadable .png")


def test_a_box_of_what_the_report_does_not_have_is_found_all_the_same(exams, folder):
    write_lines(folder / BOXES, *shape.BOXES, f"{CLEAR},Nodule,1,2,3,4,,,")
    exam = exams()[CLEAR]
    assert (exam.values["nodule"], exam.values["no_finding"], exam.all_boxes) == (1, 0, frozenset())


def test_a_film_that_is_listed_twice(read, folder):
    write_lines(folder / TABLE, shape.HEADER, *shape.ROWS, shape.ROWS[0])
    assert [s.fault[:18] for s in read("chestxray14", folder)][-2:] == ["", "film listed twice:"]


def test_of_two_tables_the_newer(exams, folder):
    write_lines(folder / "Data_Entry_2017.csv", shape.HEADER, shape.ROWS[0])
    assert len(exams()) == len(shape.ROWS)
    (folder / TABLE).unlink()
    assert len(exams()) == 1


def test_films_with_a_colour_and_an_alpha_channel_are_read_as_grey(read, folder):
    """There are 519 of them."""
    grey = picture(3)
    alpha = np.full_like(grey, 255)
    write_picture(folder / shape.FOLDERS[0] / FIRST, np.stack([grey, grey, grey, alpha], axis=-1))
    image = pixels.read(read("chestxray14", folder)[0].image).image
    np.testing.assert_allclose(image, grey / 255, atol=0.005)


def test_boxes_of_several_findings_for_one_head(read, folder):
    heads = {"opacity_detection": {"opacity": ["pneumonia", "mass"]}}
    boxes = {s.study: s.boxes.get("opacity_detection") for s in read("chestxray14", folder, heads=heads)}
    assert [len(boxes[name][0]) for name in (CLEAR, BOXED, MASS)] == [0, 1, 1]
    assert boxes[EFFUSION] is None


def test_real_boxes_and_labels(real):
    """Against an independent conversion of the same films to 256 x 256."""
    found = {e.study: e for e in chestxray14.exams(real / "originals/cxr_nih14")}
    with (real / "cxr_open/manifest.csv").open(newline="") as file:
        converted = {row["orig_name"]: row for row in csv.DictReader(file) if row["source"] == "nih_cxr14"}
    present = {name: exam for name, exam in found.items() if not exam.fault}
    assert len(present) == 3
    for name, exam in present.items():
        row = converted[name]
        assert {t for t in chestxray14.FINDINGS if exam.values[t]} == set(row["finding"].lower().split("|"))
        assert exam.values["pneumonia"] == (row["label"] == "pneumonia_other")
        assert f"nih_{exam.patient}" == row["patient_id"]
        assert (exam.view, exam.attributes["sex"]) == (row["view"], row["sex"])
        assert float(exam.attributes["age"]) == float(row["age"])
        (x1, y1, x2, y2), = (box for term, box in exam.boxes if term == "pneumonia")  # fmt: skip
        xywh = np.array([x1, y1, x2 - x1, y2 - y1]) / 4
        np.testing.assert_allclose(xywh, json.loads(row["lesion_boxes"])[0]["xywh"], atol=0.06)


def test_real_films(real):
    spec = HeadSpec("opacity_detection", "detection", ("opacity",), ("chest_xray",))
    options = chestxray14.Options(films="present")
    found = list(chestxray14.studies(real / "originals/cxr_nih14", options, {spec.name: spec}))
    assert [s.study for s in found] == ["00000150_002.png", "00000506_013.png", "00001933_000.png"]
    for study in found:
        height, width = pixels.read(study.image).image.shape
        boxes = study.boxes["opacity_detection"][0]
        assert (boxes[:, 2:] <= [width, height]).all()
        assert (boxes[:, 2:] - boxes[:, :2] > 100).all()


def test_a_film_is_as_wide_as_its_original_was(read, folder):
    """Stored at 1024 x 1024 whatever it was: millimetres per pixel differ along its sides."""
    rows = {line.split(",")[0]: line.split(",") for line in shape.ROWS}
    for study in read("chestxray14", folder):
        *_, width, height, x, y = rows[study.study][:11]
        assert study.extent_mm == pytest.approx((float(height) * float(y), float(width) * float(x)))
