import pickle

import numpy as np
import pytest

from mtmed.data.quality import BadStudy
from mtmed.errors import UserError
from tests.shapes import picture, write_dicom, write_lines
from tests.shapes import siim_acr as shape

HEAD = "pneumothorax_segmentation"
FULL = (1024, 1024)


@pytest.fixture
def folder(tmp_path):
    shape.write(tmp_path)
    return tmp_path


@pytest.fixture
def drawn(read, folder):
    """`drawn(row, row, ...)`: the one film of a table with these run lengths."""

    def one(*cells):
        write_lines(folder / "train-rle.csv", shape.ROWS[0], *(f"{shape.IDS[1]},{cell}" for cell in cells))
        (study,) = read("siim_acr", folder)
        return study

    return one


def test_runs_go_down_the_columns_each_from_the_end_of_the_last_and_rows_add_up(read, folder):
    study = read("siim_acr", folder)[1]
    assert study.study == shape.IDS[1]
    np.testing.assert_array_equal(study.masks[HEAD](FULL), shape.mask()[None])


def test_a_run_may_end_at_the_last_pixel(drawn):
    mask = drawn("0 1 1048574 1").masks[HEAD](FULL)[0]
    assert np.argwhere(mask).tolist() == [[0, 0], [1023, 1023]]


def test_minus_one_is_no_pneumothorax_which_says_nothing_of_other_lesions(read, known, folder):
    healthy, sick = read("siim_acr", folder)[:2]
    assert known(healthy) == {HEAD}
    assert not healthy.masks[HEAD](FULL).any()
    assert known(sick) == {HEAD, "lesion_segmentation", "lesion_detection"}
    np.testing.assert_array_equal(sick.masks["lesion_segmentation"](FULL), sick.masks[HEAD](FULL))


def test_every_drawing_has_a_box(read, folder):
    healthy, sick = read("siim_acr", folder, heads={"lesion_detection": {"lesion": ["pneumothorax"]}})[:2]
    boxes, classes = sick.boxes_within("lesion_detection", FULL)
    assert boxes.tolist() == [[2, 2, 4, 6], [4, 0, 5, 1]]
    assert classes.tolist() == [0, 0]
    assert len(healthy.boxes_within("lesion_detection", FULL)[0]) == 0
    assert healthy.labelled["lesion_detection"].tolist() == [True]


def test_the_value_is_whether_anything_is_drawn(read, folder):
    values = [
        s.values["pneumonia"].tolist()
        for s in read("siim_acr", folder, heads={"pneumonia": {"pneumonia": ["pneumothorax"]}})
    ]
    assert values == [[0], [1], [0], [1]]


def test_a_film_without_a_row_is_not_labelled_and_not_a_negative(read, folder):
    assert (folder / shape.path(4)).is_file()
    assert [s.study for s in read("siim_acr", folder)] == shape.IDS[:4]


@pytest.mark.parametrize("cell", ["2050 3 1021", "2050 3 -1 4", "2050 0", "2050 x", "", "2050", "1.5 2"])
def test_run_lengths_that_are_none_are_a_fault_of_one_film(read, drawn, folder, cell):
    study = drawn(cell)
    assert study.fault.startswith("run lengths not understood: expected pairs")
    write_lines(folder / "train-rle.csv", *shape.ROWS, f"{shape.IDS[4]},{cell}")
    assert [bool(s.fault) for s in read("siim_acr", folder)] == [False] * 4 + [True]


@pytest.mark.parametrize("cell", ["1048576 1", "1048570 7", "0 1048577", "0 99999999999999999999"])
def test_a_run_that_leaves_the_image(drawn, cell):
    assert drawn(cell).fault.startswith("run lengths leave the image: expected at most 1048576 pixels")


def test_a_film_of_another_size_than_the_runs_count_in(read, folder):
    """Scaled or cut, nobody can tell: what is drawn cannot be kept, that nothing is drawn can."""
    healthy, sick = read("siim_acr", folder)[:2]
    with pytest.raises(BadStudy, match="mask of another size: expected 512 x 512"):
        sick.masks[HEAD]((512, 512))
    assert healthy.masks[HEAD]((512, 400)).shape == (1, 512, 400)


def test_a_film_that_is_not_there(read, folder):
    (folder / shape.path(2)).unlink()
    assert [s.fault for s in read("siim_acr", folder)] == ["", "", "no film of this name in the folder", ""]


@pytest.mark.parametrize("name", ["../secret", "{folder}/secret"])
def test_an_id_that_leads_out_of_the_folder(read, folder, tmp_path_factory, name):
    outside = tmp_path_factory.mktemp("outside")
    write_dicom(outside / "secret.dcm", picture(9), "CR")
    write_dicom(folder.parent / "secret.dcm", picture(9), "CR")
    write_lines(folder / "train-rle.csv", *shape.ROWS, f"{name.format(folder=outside)},-1")
    study = read("siim_acr", folder)[-1]
    assert study.fault == "no film of this name in the folder"
    assert not study.image.is_file()


def test_films_without_folders_of_studies_and_series(read, folder):
    for path in sorted(folder.rglob("*.dcm")):
        path.rename(folder / path.name)
    assert not any(s.fault for s in read("siim_acr", folder))


def test_studies_travel_to_other_processes(read, folder):
    for study in read("siim_acr", folder):
        mask = pickle.loads(pickle.dumps(study)).masks[HEAD](FULL)
        np.testing.assert_array_equal(mask, study.masks[HEAD](FULL))


def test_there_is_no_official_split_and_no_patient(read, folder):
    assert [s.patient for s in read("siim_acr", folder)] == shape.IDS[:4]
    with pytest.raises(UserError, match="no official split"):
        read("siim_acr", folder, split="official")


def test_a_table_of_something_else(read, folder):
    write_lines(folder / "train-rle.csv", "ImageId,Pixels", f"{shape.IDS[0]},-1")
    with pytest.raises(UserError, match="no column 'EncodedPixels'"):
        read("siim_acr", folder)
