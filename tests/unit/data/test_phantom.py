"""The phantom can be relied on: the same bytes, real DICOM, no label that it was told to withhold."""

import csv
import json

import numpy as np
import pydicom
import pytest
from PIL import Image

from mtmed.data import pixels


def rows(folder):
    with (folder / "manifest.csv").open() as file:
        return list(csv.DictReader(file))


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("modality", ["mammography", "chest_xray"])
def test_same_spec_same_bytes_whatever_the_global_generator(hospital, modality):
    np.random.seed(1)
    first = files(hospital(modality=modality, seed=3, broken=5))
    np.random.seed(2)
    assert files(hospital(modality=modality, seed=3, broken=5)) == first
    assert files(hospital(modality=modality, seed=4, broken=5)) != first


def test_mammogram_is_a_dicom_file_of_its_kind(hospital):
    folder = hospital(modality="mammography", bits_stored=14)
    row = rows(folder)[0]
    file = pydicom.dcmread(folder / row["image"])
    assert file.SOPClassUID.name == "Digital Mammography X-Ray Image Storage - For Presentation"
    assert (file.Modality, file.BitsStored, file.PresentationIntentType) == ("MG", 14, "FOR PRESENTATION")
    assert (file.PatientID, file.ImageLaterality) == (row["patient_id"], row["laterality"])
    assert file.ViewPosition == row["view"]
    assert file.pixel_array.max() < 2**14


@pytest.mark.parametrize("window", [True, False])
@pytest.mark.parametrize("modality", ["mammography", "chest_xray"])
def test_photometric_interpretation_does_not_change_the_picture(hospital, modality, window):
    pair = [hospital(modality=modality, window=window, photometric=p) for p in ("MONOCHROME1", "MONOCHROME2")]
    for row in rows(pair[0]):
        stored = [pydicom.dcmread(folder / row["image"]).pixel_array for folder in pair]
        assert not np.array_equal(*stored)
        shown = [pixels.read(folder / row["image"]).image for folder in pair]
        np.testing.assert_allclose(*shown, atol=2e-3)


def test_bit_depth_does_not_change_the_picture(hospital):
    shallow, deep = (hospital(modality="mammography", bits_stored=bits) for bits in (8, 16))
    for row in rows(shallow):
        a, b = (pixels.read(folder / row["image"]).image for folder in (shallow, deep))
        np.testing.assert_allclose(a, b, atol=0.01)


def test_withheld_labels_leave_empty_columns(hospital):
    for row in rows(hospital(modality="chest_xray", masks=False, boxes=False, classes=False)):
        assert (row["lesion_mask"], row["label"], row["lesion_boxes"]) == ("", "", "[]")
        assert row["boxes_complete"] == "False"


def test_abnormal_studies_have_lesions_where_masks_and_boxes_say(hospital):
    folder = hospital(modality="mammography", patients=12, size=128, prevalence=0.5)
    for row in rows(folder):
        mask = np.asarray(Image.open(folder / row["lesion_mask"])) > 0
        boxes = json.loads(row["lesion_boxes"])
        assert mask.any() == bool(boxes) == (row["label"] != "normal")
        inside = np.zeros_like(mask)
        for box in boxes:
            x, y, w, h = (int(v) for v in box["xywh"])
            inside[y : y + h, x : x + w] = True
        assert (mask <= inside).all()


@pytest.mark.parametrize("modality", ["mammography", "chest_xray"])
def test_a_threshold_on_brightness_finds_no_lesions(hospital, modality):
    folder = hospital(modality=modality, patients=30, size=128, prevalence=1.0, blur=0.6)
    pairs = [
        (pixels.read(folder / row["image"]).image, np.asarray(Image.open(folder / row["lesion_mask"])) > 0)
        for row in rows(folder)
    ]
    best = max(np.mean([_dice(i > level, m) for i, m in pairs]) for level in np.linspace(0.1, 0.9, 33))
    assert best < 0.38


def _dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())
