"""What holds for every reader of a public data set, on files of its exact shape."""

from importlib import import_module

import pytest

from mtmed.data.exam import KINDS
from mtmed.data.split import split_of
from mtmed.errors import UserError
from mtmed.registry import names
from mtmed.specs import SplitSpec

READERS = [name for name in names("mtmed.datasets") if name != "manifest"]


@pytest.fixture(params=READERS)
def reader(request, tmp_path):
    """(name, module, folder of its shape)"""
    import_module(f"tests.shapes.{request.param}").write(tmp_path)
    return request.param, import_module(f"mtmed.datasets.{request.param}"), tmp_path


def test_all_studies_can_be_used_and_some_are_labelled(reader, read, known):
    name, module, folder = reader
    found = read(name, folder)
    assert not [s.fault for s in found if s.fault]
    assert all(s.image.is_file() and s.image.is_relative_to(folder) for s in found)
    assert {s.modality for s in found} == {module.CARD.modality}
    assert any(known(s) for s in found)
    assert len({s.study for s in found}) == len(found)


def test_masks_are_drawn_in_the_shape_of_their_image(reader, read):
    from mtmed.data import pixels

    for study in read(reader[0], reader[2]):
        shape = pixels.read(study.image).image.shape
        assert all(load(shape).shape[1:] == shape for load in study.masks.values())


@pytest.mark.parametrize("folds", [2, 5])
def test_no_patient_is_in_two_splits(reader, read, folds):
    found = read(reader[0], reader[2])
    assert len({s.patient for s in found}) > 1
    for fold in range(folds):
        splits = {}
        for study in found:
            split = split_of(study.patient, SplitSpec(folds=folds, fold=fold))
            assert splits.setdefault(study.patient, split) == split


def test_a_folder_above_or_a_nested_one_is_found(reader, read, tmp_path_factory):
    name, _, folder = reader
    above = tmp_path_factory.mktemp("above")
    (above / "__MACOSX").mkdir()
    folder.rename(above / "unpacked")
    assert read(name, above)


def test_the_wrong_folder_is_told_what_was_looked_for_and_what_was_found(reader, read, tmp_path_factory):
    name, module, _ = reader
    other = tmp_path_factory.mktemp("other")
    (other / "holiday.txt").write_text("")
    with pytest.raises(UserError, match="lacks") as caught:
        read(name, other)
    assert module.CARD.needs[0].pattern in str(caught.value)
    assert "found holiday.txt" in str(caught.value)


def test_the_card_says_everything(reader):
    card = reader[1].CARD
    assert all(
        [card.title, card.terms, card.needs, card.patients, card.page, card.licence, card.citation, card.defects]
    )
    assert set(card.terms) <= set(KINDS)
    assert reader[1].__doc__.splitlines()[0].endswith(".")
    assert len(reader[1].__doc__.splitlines()[0]) < 100


def test_terms_of_the_card_are_those_that_exams_use(reader):
    """A term that no exam has, or that the card does not name, misleads whoever maps heads."""
    _, module, folder = reader
    used = {kind: set() for kind in KINDS}
    for exam in module.exams(folder):
        used["masks"] |= set(exam.masks)
        used["boxes"] |= {term for term, _ in exam.boxes} | exam.all_boxes
        used["values"] |= set(exam.values)
        used["measurements"] |= set(exam.measurements)
    assert {kind: terms for kind, terms in used.items() if terms} == {k: set(v) for k, v in module.CARD.terms.items()}


def test_columns_of_the_card_are_those_by_which_sites_can_be_made(reader):
    _, module, folder = reader
    assert {column for exam in module.exams(folder) for column in exam.attributes} == set(module.CARD.columns)


def test_an_unknown_term_or_class_is_named(reader, read):
    name, _, folder = reader
    head = "malignancy" if reader[1].CARD.modality == "mammography" else "pneumonia"
    with pytest.raises(UserError, match="unknown term"):
        read(name, folder, heads={head: {head if head == "pneumonia" else "malignant": ["flu"]}})
    with pytest.raises(UserError, match="unknown class"):
        read(name, folder, heads={head: {"flu": ["normal"]}})
