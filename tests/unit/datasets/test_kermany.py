import numpy as np
import pytest

from mtmed.data import pixels
from tests.shapes import kermany as shape
from tests.shapes import picture, write_picture


@pytest.fixture
def folder(tmp_path):
    shape.write(tmp_path)
    return tmp_path


def test_every_film_once_however_often_the_archive_holds_it(read, folder):
    assert sorted(s.study for s in read("kermany", folder)) == sorted(shape.FILMS)


def test_the_folder_named_twice_is_found(read, folder, tmp_path_factory):
    bare = tmp_path_factory.mktemp("bare")
    (folder / "chest_xray").rename(bare / "chest_xray")
    assert len(read("kermany", bare)) == len(shape.FILMS)


def test_films_of_a_number_are_one_group(read, folder):
    """Whatever the cause, the series or the folder: perhaps other children, but nothing says so."""
    write_picture(folder / "test/PNEUMONIA/person1_virus_6.jpeg", picture(50))
    write_picture(folder / "test/NORMAL/IM-0383-0001.jpeg", picture(51))
    groups = {}
    for study in read("kermany", folder):
        groups.setdefault(study.patient, set()).add(study.study.split("/")[-1])
    assert groups["person1"] == {"person1_bacteria_1.jpeg", "person1_bacteria_2.jpeg", "person1_virus_6.jpeg"}
    assert groups["person1000"] == {"person1000_bacteria_2931.jpeg", "person1000_virus_1681.jpeg"}
    assert len(groups["IM0383"]) == 3
    assert groups["IM0001"] == {"IM-0001-0001.jpeg"}


def test_the_official_split(read, folder):
    found = read("kermany", folder, split="official")
    assert {(s.study.split("/")[0], s.split) for s in found} == {
        ("train", "train"),
        ("val", "validation"),
        ("test", "test"),
    }


def test_the_cause_is_known_where_the_name_says_so_or_there_is_no_pneumonia(read, folder):
    heads = {"pneumonia": {"pneumonia": ["viral_pneumonia"]}}
    values = {s.study.split("/")[-1]: s.values["pneumonia"].tolist() for s in read("kermany", folder, heads=heads)}
    assert values["person1_bacteria_1.jpeg"] == [0]
    assert values["person3_virus_15.jpeg"] == [1]
    assert values["IM-0001-0001.jpeg"] == [0]


def test_pneumonia_is_the_folders_word(read, known, folder):
    for study in read("kermany", folder):
        assert study.values["pneumonia"].tolist() == ["PNEUMONIA" in study.study]
        assert known(study) == {"pneumonia"}  # nobody drew anything, on normal films neither


def test_names_of_the_third_version(read, folder):
    """<disease>-<patient>-<number>"""
    write_picture(folder / "train/PNEUMONIA/VIRUS-1003903-0001.jpeg", picture(50))
    write_picture(folder / "train/NORMAL/NORMAL-1003903-0002.jpeg", picture(51))
    added = [s for s in read("kermany", folder) if "1003903" in s.study]
    assert [s.patient for s in added] == ["patient1003903"] * 2
    assert not any(s.fault for s in added)


def test_the_cause_of_pneumonia_is_unknown_where_the_name_does_not_say(read, known, folder):
    write_picture(folder / "test/PNEUMONIA/IM-0009-0001.jpeg", picture(50))
    heads = {"pneumonia": {"pneumonia": ["viral_pneumonia"]}}
    labelled = {s.study.split("/")[-1]: known(s) for s in read("kermany", folder, heads=heads)}
    assert labelled.pop("IM-0009-0001.jpeg") == set()
    assert all(labelled.values())


def test_leftovers_of_a_mac_are_no_films(read, folder):
    (folder / "train/NORMAL/._IM-0115-0001.jpeg").write_text("Mac OS X")
    assert len(read("kermany", folder)) == len(shape.FILMS)


@pytest.mark.parametrize("name", ["scan.jpeg", "person_virus_1.jpeg", "person1_fungus_3.jpeg", "IM-0001.jpeg"])
def test_a_film_of_nobody_knows_whom(read, folder, name):
    write_picture(folder / "test/PNEUMONIA" / name, picture(50))
    faults = {s.study: s.fault for s in read("kermany", folder) if s.fault}
    assert list(faults) == [f"test/PNEUMONIA/{name}"]
    assert faults[f"test/PNEUMONIA/{name}"].startswith("file name not understood")


def test_films_in_colour_are_read_as_grey(read, folder):
    path = folder / "train/PNEUMONIA/person1_bacteria_1.jpeg"
    grey = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (64, 1))
    write_picture(path, np.stack([grey] * 3, axis=-1))
    study = next(s for s in read("kermany", folder) if s.image == path)
    np.testing.assert_allclose(pixels.read(study.image).image, grey / 255, atol=0.02)


def test_the_original_has_no_folder_for_validation(read, folder):
    for path in sorted((folder / "val").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "val").rmdir()
    assert len(read("kermany", folder)) == len(shape.FILMS) - 2
