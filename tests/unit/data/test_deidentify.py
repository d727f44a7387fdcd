"""Names, dates and numbers planted wherever DICOM holds text: none comes out, in a value, a field or an error."""

import logging
import pickle
import traceback
import warnings
from pathlib import Path

import pydicom
import pytest
from dicomanonymizer.simpledicomanonymizer import anonymize_dataset
from pydicom.config import disable_value_validation
from pydicom.datadict import DicomDictionary, RepeatersDictionary, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from mtmed.data import deidentify, dicom_file, pixels
from mtmed.data.quality import BadStudy
from tests.dicom import film

PLANTED = {
    **dict.fromkeys(("PN", "LO", "SH", "ST", "LT", "UT", "UC", "CS", "AE"), "DOE^JANE"),
    **dict.fromkeys(("DA", "DS", "IS"), "19620518"),
    "DT": "19620518101112",
    "TM": "101112",
    "UI": "1.2.3.19620518",
    "UR": "http://doe.jane",
    "AS": "061Y",
}
BYTES = {"OB", "OW", "UN", "OD", "OF", "OL", "OV"}
MARKS = ("doe", "jane", "19620518", "101112", "061y")
NUMBERS = ("Rows", "Columns", "BitsAllocated")  # kept, and in the dictionary of no type that holds text


def plant(dataset: Dataset, tag: int, vr: str, item: Dataset | None = None) -> None:
    if vr in PLANTED:
        dataset.add(DataElement(tag, vr, PLANTED[vr]))
    elif vr in BYTES:
        # pixels and tables of brightness are bytes, whatever they spell
        table = keyword_for_tag(tag).endswith(("LUTData", "PixelData", "LookupTableData"))
        dataset.add(DataElement(tag, vr, b"\x01\x02" if table else b"DOE^JANE"))
    elif vr == "SQ" and item is not None:
        dataset.add(DataElement(tag, vr, [item]))


def person() -> Dataset:
    """What an item of a sequence holds of a person, in elements that are kept elsewhere too."""
    item = Dataset()
    for keyword in ("PatientName", "CodeMeaning", "CodeValue", "LUTExplanation", "FrameLaterality", "StudyDate"):
        plant(item, tag_for_keyword(keyword), DicomDictionary[tag_for_keyword(keyword)][0])
    item.add(DataElement(0x00090010, "LO", "DOE^JANE"))
    return item


def everything() -> Dataset:
    """Every element that the dictionary knows, repeated groups and private ones, with a person in every sequence."""
    dataset = Dataset()
    for tag, (vr, *_) in DicomDictionary.items():
        if tag >> 16 not in (0x0000, 0x0002, 0xFFFE) and tag != 0x00080005:
            plant(dataset, tag, vr.split(" or ")[-1], person())
    for mask, (vr, *_) in RepeatersDictionary.items():
        plant(dataset, int(mask.replace("x", "0"), 16), vr.split(" or ")[-1])
    dataset.add(DataElement(0x00090010, "LO", "DOE^JANE"))
    dataset.add(DataElement(0x00091001, "PN", "DOE^JANE"))
    dataset.add(DataElement(0x00091002, "UN", b"DOE^JANE"))
    return dataset


@pytest.fixture(autouse=True)
def _odd_values_allowed():
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def planted() -> bytes:
    """Pickled: every test changes its own."""
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        return pickle.dumps(everything())


def marks(text: str) -> list[str]:
    return [mark for mark in MARKS if mark in text.lower()]


def all_of(dataset: Dataset) -> str:
    return str(dataset) + str(getattr(dataset, "file_meta", "")) + pickle.dumps(dataset).decode("latin-1")


def test_nothing_planted_survives(planted):
    dataset = pickle.loads(planted)
    assert len(dataset) > 3900
    assert set(marks(all_of(dataset))) == set(MARKS)
    deidentify.deidentify(dataset)
    assert not marks(all_of(dataset))


def test_profile_alone_would_not_do():
    """Why there is a list of what is kept: the library leaves what table E.1-1 does not name, and every sequence."""
    dataset = Dataset()
    for keyword in ("CodeMeaning", "Manufacturer", "EvaluatorName", "DateOfGainCalibration"):
        tag = tag_for_keyword(keyword)
        plant(dataset, tag, DicomDictionary[tag][0])
    dataset.ViewCodeSequence = [Dataset()]
    dataset.ViewCodeSequence[0].PatientName = "DOE^JANE"
    anonymize_dataset(dataset)
    assert {"doe", "jane", "19620518"} <= set(marks(str(dataset)))
    assert len(dataset) == 5


def test_element_kept_by_mistake_meets_the_profile(monkeypatch):
    """At every depth; and one that the library cannot handle is removed."""
    kept = {"PatientName": str, "Rows": int, "EncapsulatedDocument": lambda value: value}
    monkeypatch.setattr(deidentify, "KEPT", {**kept, "ViewCodeSequence": kept})
    dataset = Dataset()
    dataset.PatientName, dataset.Rows = "DOE^JANE", 512
    item = Dataset()
    item.PatientName, item.Rows = "DOE^JANE", 256
    dataset.ViewCodeSequence = [item]
    dataset.add(DataElement("EncapsulatedDocument", "OW", b"DOE^JANE"))
    deidentify.deidentify(dataset)
    assert (dataset.Rows, dataset.ViewCodeSequence[0].Rows) == (512, 256)
    assert not marks(all_of(dataset))


def test_what_pixels_need_is_kept():
    tags = {"WindowCenter": [100, 200], "WindowWidth": [50, 60], "PixelSpacing": [0.1, 0.2], "ViewPosition": "CC",
            "RescaleSlope": 1.5, "ImageLaterality": "L", "BurnedInAnnotation": "NO"}  # fmt: skip
    dataset = film(PatientName="DOE^JANE", **tags)
    before = film(**tags)
    deidentify.deidentify(dataset)
    del before.SOPInstanceUID
    assert dataset == before
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


@pytest.mark.parametrize("vr", ["LO", "PN", "DA", "SQ", "OB", "UI"])
@pytest.mark.parametrize("keyword", sorted(deidentify.KEPT))
def test_kept_element_of_another_type(keyword, vr):
    """Broken files: a name where the dictionary has a number, a code or a table."""
    dataset = Dataset()
    plant(dataset, tag_for_keyword(keyword), vr, person())
    deidentify.deidentify(dataset)
    assert not marks(all_of(dataset))


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("DS", b"DOE^JANE"),
        ("US", b"\x01"),
        ("FD", b"DOE^JANE1"),
        ("ZZ", b"DOE^JANE"),
        ("SQ", b"DOE^JANE"),
        (None, b"D"),
    ],
)
def test_raw_element_that_does_not_parse(vr, value):
    """As a file holds them: they are parsed when they are first asked for."""
    dataset = Dataset()
    for keyword in deidentify.KEPT:
        tag = pydicom.tag.Tag(keyword)
        raw = pydicom.dataelem.RawDataElement(tag, vr, len(value), value, 0, vr is None, True)
        dataset._dict[tag] = raw
    deidentify.deidentify(dataset)
    assert not marks(all_of(dataset))
    assert not {"Rows", "WindowCenter", "PixelSpacing", "ViewPosition"} & {e.keyword for e in dataset}


def test_own_header_of_the_file(tmp_path):
    dataset = film()
    meta = dataset.file_meta
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, "1.2.3.19620518"
    meta.SourceApplicationEntityTitle, meta.ImplementationVersionName = "DOE^JANE", "DOE^JANE"
    meta.PrivateInformationCreatorUID, meta.PrivateInformation = "1.2.3.19620518", b"DOE^JANE"
    (tmp_path / "doe").mkdir()
    file = FileDataset(tmp_path / "doe/jane.dcm", dataset, preamble=b"DOE^JANE" * 16, file_meta=meta)
    assert {"doe", "jane", "19620518"} <= set(marks(all_of(file)))
    deidentify.deidentify(file)
    assert not marks(all_of(file))
    assert [e.keyword for e in file.file_meta] == ["MediaStorageSOPClassUID", "TransferSyntaxUID"]


def test_identity_of_no_use_is_not_remembered(planted):
    """The library keeps a table of every UID that it has replaced, for as long as the process lives."""
    from dicomanonymizer.simpledicomanonymizer import dictionary

    dictionary.clear()
    deidentify.deidentify(pickle.loads(planted))
    assert not dictionary


def written(path: Path, dataset: Dataset) -> Path:
    """A file of whatever elements; film's where there are none."""
    for element in film():
        if element.tag not in dataset or element.keyword in ("PixelData", "PhotometricInterpretation"):
            dataset[element.tag] = element
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, "1.2.3.19620518"
    meta.MediaStorageSOPInstanceUID, meta.SourceApplicationEntityTitle = "1.2.3.19620518", "DOE^JANE"
    file = FileDataset(path, dataset, preamble=b"DOE^JANE" * 16, file_meta=meta)
    file.save_as(path, enforce_file_format=False)
    return path


def said(path: Path, caplog: pytest.LogCaptureFixture) -> str:
    """All that reading a file says: the picture's fields or the error, how it would be logged, and warnings."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            picture = pixels.read(path)
            text = repr({name: value for name, value in vars(picture).items() if name != "image"})
        except BadStudy as error:
            text = str(error) + "".join(traceback.format_exception(error)).replace(str(path.parent), "")
    return text + caplog.text + " ".join(str(w.message) for w in warned)


def test_picture_of_a_file_full_of_names(planted, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    dataset = pickle.loads(planted)
    for element in list(dataset):
        # what cannot be written: groups that are not of a data set, and lengths that its type does not have
        if element.tag.group < 8 or element.VR in ("OD", "OF", "OL", "OV", "OW"):
            del dataset[element.tag]
    del dataset.ModalityLUTSequence, dataset.VOILUTSequence  # a broken table is no reason to show something else
    path = written(tmp_path / "DOE^JANE.dcm", dataset)
    assert b"DOE^JANE" in path.read_bytes()
    picture = pixels.read(path)
    assert picture.image.shape == (32, 40)
    assert not marks(said(path, caplog))


@pytest.mark.parametrize("keyword", sorted({*deidentify.KEPT, *NUMBERS} - {"PixelData"}))
def test_errors_of_a_file_with_one_name_in_it(keyword, tmp_path, caplog):
    """In each element that is looked at: of its own type where that holds text, and as another type."""
    caplog.set_level(logging.DEBUG)
    tag = tag_for_keyword(keyword)
    for number, vr in enumerate((DicomDictionary[tag][0].split(" or ")[0], "LO", "PN")):
        if (keyword, vr) == ("SOPClassUID", "PN"):
            continue  # pydicom writes no such file
        dataset = film()
        if tag in dataset:
            del dataset[tag]
        plant(dataset, tag, vr)
        path = tmp_path / f"DOE^JANE.{number}.DOE"
        dataset.save_as(path, enforce_file_format=True)
        assert not marks(said(path, caplog)), (keyword, vr)


def test_header_of_a_file_is_clean_when_it_is_handed_over(planted, tmp_path):
    dataset = pickle.loads(planted)
    for element in list(dataset):
        if element.tag.group < 8 or element.VR in ("OD", "OF", "OL", "OV", "OW"):
            del dataset[element.tag]
    header = dicom_file.header(written(tmp_path / "a.dcm", dataset))
    assert not marks(all_of(header))
    assert header.Rows == 32
