import numpy as np
import pytest

from mtmed.errors import UserError
from tests.shapes import picture, write_dicom, write_lines
from tests.shapes import rsna_pneumonia as shape

LABELS = "stage_2_train_labels.csv"


@pytest.fixture
def folder(tmp_path):
    shape.write(tmp_path)
    return tmp_path


def test_rows_of_a_film_are_one_study_with_all_its_boxes(read, folder):
    found = read("rsna_pneumonia", folder)
    assert [s.study for s in found] == shape.IDS
    np.testing.assert_array_equal(found[1].boxes["opacity_detection"][0], [[4, 5, 14, 25], [24, 6, 36, 24]])
    assert found[1].values["pneumonia"].tolist() == [1]


def test_a_film_without_opacity_is_known_to_have_no_box(read, known, folder):
    study = read("rsna_pneumonia", folder)[0]
    assert len(study.boxes["opacity_detection"][0]) == 0
    assert study.values["pneumonia"].tolist() == [0]
    assert known(study) == {"opacity_detection", "pneumonia"}


def test_lesions_are_known_to_be_absent_on_normal_films_only(read, known, folder):
    """What is not normal and no opacity was seen, but not marked."""
    studies = read("rsna_pneumonia", folder)
    assert ["lesion_detection" in known(s) for s in studies] == [False, True, True, True, True, True]
    (folder / "stage_2_detailed_class_info.csv").unlink()
    studies = read("rsna_pneumonia", folder)
    assert ["lesion_detection" in known(s) for s in studies] == [False, True, False, True, False, False]


def test_nobody_drew_masks(read, known, folder):
    assert not any("segmentation" in head for s in read("rsna_pneumonia", folder) for head in known(s))


def test_patients_are_those_of_the_mapping_if_it_is_there(read, folder, tmp_path_factory):
    assert [s.patient for s in read("rsna_pneumonia", folder)][-2:] == ["00000005", "00000005"]
    bare = tmp_path_factory.mktemp("bare")
    shape.write(bare, mapping=False)
    assert [s.patient for s in read("rsna_pneumonia", bare)] == shape.IDS


def test_classes_repeat_by_box_and_are_joined_once(read, folder):
    heads = {"pneumonia": {"pneumonia": ["normal"]}}
    values = [s.values["pneumonia"].tolist() for s in read("rsna_pneumonia", folder, heads=heads)]
    assert values == [[0], [0], [1], [0], [1], [1]]


def test_a_box_without_numbers_is_a_fault_of_one_film(read, folder):
    write_lines(folder / LABELS, *shape.LABELS[:3], f"{shape.IDS[3]},,,,,1")
    faults = [s.fault for s in read("rsna_pneumonia", folder)]
    assert faults[:2] == ["", ""]
    assert faults[2].startswith("box not understood")


def test_a_target_that_is_neither(read, folder):
    write_lines(folder / LABELS, shape.LABELS[0], f"{shape.IDS[0]},1,1,5,5,2", *shape.LABELS[2:])
    faults = [s.fault for s in read("rsna_pneumonia", folder)]
    assert faults[0] == "box not understood: expected a Target of 0 or 1"
    assert not any(faults[1:])


def test_a_film_that_is_not_there(read, folder):
    (folder / f"stage_2_train_images/{shape.IDS[1]}.dcm").unlink()
    assert [bool(s.fault) for s in read("rsna_pneumonia", folder)] == [False, True, False, False, False, False]


@pytest.mark.parametrize("name", ["../../secret", "{folder}/secret"])
def test_an_id_that_leads_out_of_the_folder(read, folder, name):
    write_dicom(folder.parent / "secret.dcm", picture(9), "CR")
    write_lines(folder / LABELS, *shape.LABELS, f"{name.format(folder=folder.parent)},,,,,0")
    study = read("rsna_pneumonia", folder)[-1]
    assert study.fault == "no film of this name in stage_2_train_images"
    assert not study.image.is_file()


@pytest.mark.parametrize("text", ["{}", "[1]", "not json", '[{"img_id": "a_b.png"}]'])
def test_a_mapping_that_is_something_else(read, folder, text):
    (folder / "pneumonia-challenge-dataset-mappings_2018.json").write_text(text)
    if text == "{}":
        assert read("rsna_pneumonia", folder)[0].patient == shape.IDS[0]
    else:
        with pytest.raises(UserError, match="expected a list of"):
            read("rsna_pneumonia", folder)


def test_columns_that_are_missing(read, folder):
    write_lines(folder / LABELS, "patientId,Target", f"{shape.IDS[0]},0")
    with pytest.raises(UserError, match="no column 'x'"):
        read("rsna_pneumonia", folder)
