"""A phantom of any modality can be relied on: the same bytes, real DICOM, no label that it was told to withhold."""

import csv
import json

import numpy as np
import pydicom
import pytest
from PIL import Image
from skimage.measure import label, regionprops

from mtmed import phantoms
from mtmed.data import pixels
from mtmed.errors import UserError
from mtmed.modalities import accepts, of_view
from mtmed.registry import find, names
from mtmed.specs import PhantomSpec

MODALITIES = names("mtmed.phantoms")
# the mean Dice that a threshold may reach; a cyst in ultrasound is black, and a reader sees it at once
THRESHOLD = {"ultrasound": 0.45}


def rows(folder):
    with (folder / "manifest.csv").open() as file:
        return list(csv.DictReader(file))


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def mask(folder, path):
    return np.asarray(Image.open(folder / path)) > 0


def test_every_modality_that_the_system_knows_has_a_phantom():
    assert set(names("mtmed.modalities")) == set(MODALITIES)


@pytest.mark.parametrize("modality", MODALITIES)
def test_same_spec_same_bytes_whatever_the_global_generator(hospital, modality):
    np.random.seed(1)
    first = files(hospital(modality=modality, seed=3, broken=5))
    np.random.seed(2)
    assert files(hospital(modality=modality, seed=3, broken=5)) == first
    assert files(hospital(modality=modality, seed=4, broken=5)) != first


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_patient_is_the_same_however_many_there_are(hospital, modality):
    few, many = (files(hospital(modality=modality, patients=n)) for n in (5, 7))
    assert {name: many[name] for name in few if name != "manifest.csv"} == {
        name: data for name, data in few.items() if name != "manifest.csv"
    }


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_files_are_dicom_of_their_kind(hospital, modality):
    folder = hospital(modality=modality, bits_stored=14)
    for row in rows(folder):
        file = pydicom.dcmread(folder / row["image"])
        assert accepts(modality, file.Modality)
        assert file.Modality in find("mtmed.modalities", modality, "modality").DICOM
        assert file.SOPClassUID == file.file_meta.MediaStorageSOPClassUID
        assert (file.PatientID, file.ManufacturerModelName) == (row["patient_id"], row["device"])
        assert file.get("ImageLaterality", "") == row["laterality"]
        assert of_view(row["view"]) == modality
        assert file.BitsStored == 14
        assert 0 <= file.pixel_array.min() < file.pixel_array.max() < 2**14


@pytest.mark.parametrize(
    ("modality", "kind", "side_mm"),
    [
        ("mammography", "Digital Mammography X-Ray Image Storage - For Presentation", (120, 120)),
        ("chest_xray", "Computed Radiography Image Storage", (400, 400)),
        ("ultrasound", "Ultrasound Image Storage", (40, 45)),
    ],
)
def test_class_and_spacing_are_the_modalitys(hospital, modality, kind, side_mm):
    folder = hospital(modality=modality, size=96)
    for row in rows(folder):
        read = pixels.read(folder / row["image"])
        assert pydicom.dcmread(folder / row["image"]).SOPClassUID.name == kind
        assert read.spacing_mm[0] == read.spacing_mm[1]
        assert side_mm[0] - 0.1 <= 96 * read.spacing_mm[0] <= side_mm[1] + 0.1


def test_ultrasound_states_its_spacing_as_scanners_do(hospital):
    folder = hospital(modality="ultrasound")
    for row in rows(folder):
        file = pydicom.dcmread(folder / row["image"])
        region = file.SequenceOfUltrasoundRegions[0]
        assert region.PhysicalUnitsXDirection == 3
        assert region.PhysicalDeltaX * 10 == pytest.approx(file.PixelSpacing[0], abs=1e-4)


@pytest.mark.parametrize("window", [True, False])
@pytest.mark.parametrize("modality", MODALITIES)
def test_photometric_interpretation_does_not_change_the_picture(hospital, modality, window):
    pair = [hospital(modality=modality, window=window, photometric=p) for p in ("MONOCHROME1", "MONOCHROME2")]
    for row in rows(pair[0]):
        stored = [pydicom.dcmread(folder / row["image"]).pixel_array for folder in pair]
        assert not np.array_equal(*stored)
        shown = [pixels.read(folder / row["image"]).image for folder in pair]
        np.testing.assert_allclose(*shown, atol=2e-3)


@pytest.mark.parametrize("modality", MODALITIES)
def test_bit_depth_does_not_change_the_picture(hospital, modality):
    shallow, deep = (hospital(modality=modality, bits_stored=bits) for bits in (8, 16))
    for row in rows(shallow):
        a, b = (pixels.read(folder / row["image"]).image for folder in (shallow, deep))
        np.testing.assert_allclose(a, b, atol=0.01)


@pytest.mark.parametrize("modality", MODALITIES)
def test_withheld_labels_leave_empty_columns(hospital, modality):
    folder = hospital(modality=modality, prevalence=1.0, masks=False, boxes=False, classes=False, diameters=False)
    for row in rows(folder):
        written = {row[c] for c in row if c.endswith("_mask") or c in ("label", "diameter_mm")}
        assert (written, row["lesion_boxes"], row["boxes_complete"]) == ({""}, "[]", "False")
    assert {p.parent.name for p in folder.rglob("*.*")} == {folder.name, "images"}


@pytest.mark.parametrize("modality", MODALITIES)
def test_withholding_labels_does_not_change_the_picture(hospital, modality):
    bare = {"masks": False, "boxes": False, "classes": False, "diameters": False}
    given, withheld = files(hospital(modality=modality, lungs=True)), files(hospital(modality=modality, **bare))
    assert {name: given[name] for name in withheld if name.endswith(".dcm")} == {
        name: data for name, data in withheld.items() if name.endswith(".dcm")
    }


@pytest.mark.parametrize("modality", MODALITIES)
def test_abnormal_studies_have_lesions_where_masks_and_boxes_say(hospital, modality):
    folder = hospital(modality=modality, patients=16, size=128, prevalence=0.6)
    known = {"normal", *find("mtmed.phantoms", modality, "phantom").PHANTOM.findings}
    for row in rows(folder):
        lesions, boxes = mask(folder, row["lesion_mask"]), json.loads(row["lesion_boxes"])
        assert row["label"] in known
        assert lesions.any() == bool(boxes) == (row["label"] != "normal")
        inside = np.zeros_like(lesions)
        for x, y, w, h in ([int(v) for v in box["xywh"]] for box in boxes):
            inside[y : y + h, x : x + w] = True
        assert (lesions <= inside).all()


@pytest.mark.parametrize("modality", ["mammography", "ultrasound"])
def test_a_diameter_is_the_longest_of_the_longest_lesion(hospital, modality):
    folder = hospital(modality=modality, patients=24, size=192, prevalence=0.7)
    compared = 0
    for row in rows(folder):
        boxes = [box for box in json.loads(row["lesion_boxes"]) if box["label"] != "calcification"]
        assert bool(row["diameter_mm"]) == bool(boxes)
        regions = regionprops(label(mask(folder, row["lesion_mask"])))
        if len(boxes) == len(regions) == len(json.loads(row["lesion_boxes"])) == 1:
            spacing = pixels.read(folder / row["image"]).spacing_mm[0]
            longest = regions[0].feret_diameter_max * spacing
            assert float(row["diameter_mm"]) == pytest.approx(longest, abs=1.2 * spacing)
            compared += 1
    assert compared > 5


def test_lesions_are_as_large_as_real_ones(hospital):
    for modality, (least, most) in {"mammography": (5, 46), "ultrasound": (3, 35)}.items():
        found = [r["diameter_mm"] for r in rows(hospital(modality=modality, patients=40, size=128, prevalence=1.0))]
        sizes = [float(d) for d in found if d]
        assert least < min(sizes)
        assert max(sizes) < most


def test_chest_opacities_are_not_measured(hospital):
    assert {row["diameter_mm"] for row in rows(hospital(modality="chest_xray", prevalence=1.0))} == {""}


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_threshold_on_brightness_finds_no_lesions(hospital, modality):
    folder = hospital(modality=modality, patients=30, size=128, prevalence=1.0, blur=0.6)
    pairs = [(pixels.read(folder / row["image"]).image, mask(folder, row["lesion_mask"])) for row in rows(folder)]
    levels = np.linspace(0.05, 0.95, 37)
    above = max(np.mean([_dice(i > level, m) for i, m in pairs]) for level in levels)
    below = max(np.mean([_dice(i < level, m) for i, m in pairs]) for level in levels)
    assert max(above, below) < THRESHOLD.get(modality, 0.38)


def _dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_hospital_may_have_one_device(hospital, modality):
    devices = find("mtmed.phantoms", modality, "phantom").PHANTOM.devices
    assert {row["device"] for row in rows(hospital(modality=modality, patients=12))} == set(devices)
    assert {row["device"] for row in rows(hospital(modality=modality, device=devices[0]))} == {devices[0]}


def test_an_unknown_device_or_modality_is_one_line(tmp_path):
    with pytest.raises(UserError, match="unknown device of ultrasound 'x': expected one of Phantom Curved 9, Phantom"):
        phantoms.write(PhantomSpec(modality="ultrasound", patients=5, device="x"), tmp_path)
    with pytest.raises(UserError, match="unknown phantom 'ct': expected one of chest_xray, mammography, ultrasound"):
        phantoms.write(PhantomSpec(modality="ct", patients=5), tmp_path)
