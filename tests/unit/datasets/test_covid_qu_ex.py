import pickle

import numpy as np
import pytest

from mtmed.data.quality import BadStudy
from mtmed.errors import UserError
from tests.shapes import covid_qu_ex as shape
from tests.shapes import picture, write_picture

FULL = (shape.SIDE, shape.SIDE)
DRAWN = {"lesion_segmentation", "opacity_segmentation"}
LUNGS = {"lung_segmentation", "pneumonia"}


@pytest.fixture
def folder(tmp_path):
    shape.write(tmp_path)
    return tmp_path


@pytest.fixture
def named(read, folder):
    """{file name: study}"""
    return lambda **options: {s.image.name: s for s in read("covid_qu_ex", folder, **options)}


def test_a_film_of_both_parts_is_one_study_with_both_masks(read, folder):
    found = read("covid_qu_ex", folder)
    assert [s.image.name for s in found].count("covid_1.png") == 1
    assert len(found) == len(shape.FILMS)
    study = next(s for s in found if s.image.name == "covid_1.png")
    np.testing.assert_array_equal(study.masks["lung_segmentation"](FULL)[0], shape.mask(20, 20, 100) > 0)
    for head in DRAWN:
        np.testing.assert_array_equal(study.masks[head](FULL)[0], shape.mask(30, 30) > 0)


def test_infection_is_unknown_where_it_was_not_drawn(named, known):
    studies = named()
    assert known(studies["covid_1.png"]) == LUNGS | DRAWN
    assert known(studies[shape.BIMCV]) == LUNGS  # has COVID-19, but is not of the infection part
    # its infection mask is a blank file: no COVID-19, but an opacity that nobody drew
    assert known(studies["non_COVID (1).png"]) == LUNGS
    assert known(studies["non_COVID (7).png"]) == LUNGS


def test_a_normal_film_has_no_infection_drawn_or_not(named):
    for name in ("Normal (1).png", "Normal (7).png"):
        for head in DRAWN:
            assert not named()[name].masks[head](FULL).any()


@pytest.mark.parametrize(
    ("term", "values"), [("covid", [[1], [0], [0]]), ("pneumonia", [[1], [1], [0]]), ("normal", [[0], [0], [1]])]
)
def test_classes_are_known_of_every_film(named, term, values):
    studies = named(heads={"pneumonia": {"pneumonia": [term]}})
    assert [studies[name].values["pneumonia"].tolist() for *_, name in shape.INFECTED] == values


@pytest.mark.parametrize(
    ("lung", "infection"),
    [
        ("Lung Segmentation Data", "Infection Segmentation Data"),
        ("COVID-QU-Ex/Lung Segmentation Data", "COVID-QU-Ex/Infection Segmentation Data"),
        (f"COVID-QU-Ex/{shape.LUNG}", f"COVID-QU-Ex/{shape.INFECTION}"),
    ],
)
def test_parts_nested_once_or_twice(read, tmp_path, lung, infection):
    shape.write(tmp_path, lung, infection)
    found = read("covid_qu_ex", tmp_path)
    assert len(found) == len(shape.FILMS)
    assert sum("opacity_segmentation" in s.masks for s in found) == 3


@pytest.mark.parametrize(("absent", "left"), [("Lung", len(shape.INFECTED)), ("Infection", len(shape.FILMS))])
def test_one_part_alone(read, folder, tmp_path_factory, absent, left):
    (folder / f"{absent} Segmentation Data").rename(tmp_path_factory.mktemp("away") / "part")
    found = read("covid_qu_ex", folder)
    assert len(found) == left
    assert all("lung_segmentation" in s.masks for s in found)


def test_other_films_of_the_same_name_keep_their_own_masks(read, known, folder):
    """Of another length in bytes: no copies. They stay in one group, for nobody knows."""
    write_picture(folder / shape.INFECTION / "Train/COVID-19/images/covid_1.png", picture(99, 250, 256))
    pair = [s for s in read("covid_qu_ex", folder) if s.image.name == "covid_1.png"]
    assert [known(s) >= DRAWN for s in pair] == [False, True]
    assert len({s.study for s in pair}) == 2
    assert len({s.patient for s in pair}) == 1


def test_namesakes_in_two_folders_of_a_part_are_both_kept(read, folder):
    write_picture(folder / shape.INFECTION / "Val/COVID-19/images/covid_1.png", picture(98, 250, 256))
    assert len([s for s in read("covid_qu_ex", folder) if s.image.name == "covid_1.png"]) == 2


def test_classes_number_their_films_alike(read, folder):
    write_picture(folder / shape.LUNG / "Train/COVID-19/images/Normal (7).png", picture(9, 256, 256))
    assert len({s.patient for s in read("covid_qu_ex", folder) if s.image.name == "Normal (7).png"}) == 2


def test_films_of_bimcv_are_named_by_patient_and_view(read, folder):
    other = shape.BIMCV.replace("E18672", "E20000").replace("vp-ap", "vp-pa")
    write_picture(folder / shape.LUNG / "Test/COVID-19/images" / other, picture(9, 256, 256))
    pair = [s for s in read("covid_qu_ex", folder) if s.image.name.startswith("sub-")]
    assert [(s.patient, s.view) for s in pair] == [("sub-S09345", "AP"), ("sub-S09345", "PA")]


def test_the_official_split_of_a_film_in_both_parts_is_the_lung_parts(read, folder):
    place = folder / shape.INFECTION
    for kind in ("images", "infection masks", "lung masks"):
        (place / "Test/COVID-19" / kind).mkdir(parents=True)
        (place / "Train/COVID-19" / kind / "covid_1.png").rename(place / "Test/COVID-19" / kind / "covid_1.png")
    studies = {s.image.name: s for s in read("covid_qu_ex", folder, split="official")}
    assert len(studies) == len(shape.FILMS)
    assert studies["covid_1.png"].split == "train"
    assert studies["non_COVID (7).png"].split == "validation"
    assert studies["Normal (7).png"].split == "test"


def test_a_mask_that_is_not_there_is_unknown(read, known, folder):
    (folder / shape.LUNG / "Val/Non-COVID/lung masks/non_COVID (7).png").unlink()
    study = next(s for s in read("covid_qu_ex", folder) if s.image.name == "non_COVID (7).png")
    assert known(study) == {"pneumonia"}


def test_a_mask_of_another_size(named, folder):
    write_picture(folder / shape.LUNG / "Train/COVID-19/lung masks/covid_1.png", picture(1, 256, 255))
    with pytest.raises(BadStudy, match="mask of another size: expected 256 x 256"):
        named()["covid_1.png"].masks["lung_segmentation"](FULL)


@pytest.mark.parametrize("top", [1, 255])
def test_grey_edges_are_cut_halfway_and_the_mask_may_be_of_0_and_1(named, folder, top):
    stored = np.zeros(FULL, np.uint8)
    stored[:, :100], stored[:, 100:110] = top, top // 3
    write_picture(folder / shape.LUNG / "Train/COVID-19/lung masks/covid_1.png", stored)
    mask = named()["covid_1.png"].masks["lung_segmentation"](FULL)[0]
    assert mask.sum(axis=1).tolist() == [100] * 256


def test_studies_travel_to_other_processes(read, folder):
    for study in pickle.loads(pickle.dumps(read("covid_qu_ex", folder))):
        assert all(load(FULL).shape == (1, *FULL) for load in study.masks.values())


def test_leftovers_of_a_mac_are_no_films(read, folder):
    (folder / shape.LUNG / "Train/COVID-19/images/._covid_1.png").write_text("Mac OS X")
    assert len(read("covid_qu_ex", folder)) == len(shape.FILMS)


def test_neither_part(read, tmp_path):
    (tmp_path / "Lung Segmentation Data").mkdir()
    with pytest.raises(UserError, match=r"lacks \*Segmentation Data.*found Lung Segmentation Data/"):
        read("covid_qu_ex", tmp_path)
