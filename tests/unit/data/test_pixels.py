"""What goes wrong in medical pixels: real files, written and read."""

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless

from mtmed.data import pixels
from mtmed.data.quality import BadStudy

RAMP = np.linspace(0, 4000, 32 * 40).reshape(32, 40).astype(np.uint16)


def write_dicom(path, stored=RAMP, **tags):
    """A CR file of 12 bits with these tags."""
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID, file.SOPInstanceUID, file.Modality = ComputedRadiographyImageStorage, "1.2.3", "CR"
    file.Rows, file.Columns = stored.shape[:2]
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
    file.PixelData = stored.tobytes()
    for name, value in tags.items():
        setattr(file, name, value)
    file.save_as(path, enforce_file_format=True)
    return path


def read(path):
    return pixels.read(path).image


def test_brightness_of_a_plain_file_spans_its_own_range(tmp_path):
    image = read(write_dicom(tmp_path / "a.dcm"))
    assert image.dtype == np.float32
    assert (image.min(), image.max()) == (0, 1)
    assert np.all(np.diff(image.ravel()) >= 0)


def test_window_is_in_units_after_the_modality_lut(tmp_path):
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000}
    image = read(write_dicom(tmp_path / "a.dcm", WindowCenter=3000.5, WindowWidth=2001, **tags))
    expected = np.clip((RAMP * 2.0 - 1000 - 2000) / 2000, 0, 1)
    np.testing.assert_allclose(image, expected, atol=1e-3)


def test_inversion_comes_after_the_window(tmp_path):
    tags = {"WindowCenter": 1000, "WindowWidth": 800}
    plain = read(write_dicom(tmp_path / "a.dcm", **tags))
    inverted = read(write_dicom(tmp_path / "b.dcm", PhotometricInterpretation="MONOCHROME1", **tags))
    np.testing.assert_allclose(inverted, 1 - plain, atol=1e-6)


def test_first_of_several_windows(tmp_path):
    one = read(write_dicom(tmp_path / "a.dcm", WindowCenter=1000, WindowWidth=800))
    two = read(write_dicom(tmp_path / "b.dcm", WindowCenter=[1000, 3000], WindowWidth=[800, 100]))
    np.testing.assert_array_equal(one, two)


def test_window_of_no_width_is_no_window(tmp_path):
    plain = read(write_dicom(tmp_path / "a.dcm"))
    np.testing.assert_array_equal(read(write_dicom(tmp_path / "b.dcm", WindowCenter=0, WindowWidth=0)), plain)


def test_voi_table_that_says_more_bits_than_it_uses(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], np.arange(4096, dtype=np.uint16).tobytes()
    image = read(write_dicom(tmp_path / "a.dcm", VOILUTSequence=Sequence([table])))
    np.testing.assert_allclose(image, RAMP / 4095, atol=1e-3)


def test_padding_is_black_and_does_not_set_the_range(tmp_path):
    stored = RAMP.copy() // 8 + 1000
    stored[:, :8] = 4095
    image = read(write_dicom(tmp_path / "a.dcm", stored, PixelPaddingValue=4095))
    assert (image[:, :8] == 0).all()
    assert image[:, 8:].max() == 1


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"NumberOfFrames": 2, "PixelData": RAMP.tobytes() * 2}, "series of frames: expected one image"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "expected MONOCHROME1 or 2, got RGB"),
        ({"Rows": 60000, "Columns": 60000}, "image too large"),
        ({"Rows": 1, "Columns": 1}, "image too small: expected at least 16 x 16 pixels, got 1 x 1"),
        ({"PixelData": RAMP.tobytes()[:900]}, "truncated: expected 2560 bytes of pixels, got 900"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "expected FOR PRESENTATION, got FOR PROCESSING"),
    ],
)  # fmt: skip
def test_refused_with_a_reason(tmp_path, tags, reason):
    with pytest.raises(BadStudy, match=reason):
        pixels.read(write_dicom(tmp_path / "a.dcm", **tags))


def test_damaged_compressed_file(tmp_path):
    path = write_dicom(tmp_path / "a.dcm")
    file = pydicom.dcmread(path)
    file.file_meta.TransferSyntaxUID = JPEG2000Lossless
    file.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f nonsense"])
    file["PixelData"].is_undefined_length = True
    file.save_as(path)
    with pytest.raises(BadStudy, match=r"unreadable \.dcm: ") as caught:
        pixels.read(path)
    assert "\n" not in str(caught.value)


def test_file_that_is_no_dicom_or_no_file(tmp_path):
    (tmp_path / "a.dcm").write_text("<html>403</html>" * 20)
    with pytest.raises(BadStudy, match="not DICOM: expected 'DICM' after 128 bytes, got a file of b'<html>"):
        pixels.read(tmp_path / "a.dcm")
    with pytest.raises(BadStudy, match=r"no file b\.dcm"):
        pixels.read(tmp_path / "b.dcm")


def test_dicom_under_another_name(tmp_path):
    write_dicom(tmp_path / "a.dcm").rename(tmp_path / "a.img")
    assert pixels.read(tmp_path / "a.img").modality == "CR"


def test_spacing_of_the_detector_stands_in(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", ImagerPixelSpacing=[0.1, 0.2])
    assert pixels.read(path).spacing_mm == (0.1, 0.2)


@pytest.mark.parametrize("suffix", ["png", "pgm", "tiff"])
def test_sixteen_bits_are_not_divided_by_255(tmp_path, suffix):
    Image.fromarray(RAMP).save(tmp_path / f"a.{suffix}")
    image = read(tmp_path / f"a.{suffix}")
    assert image.max() > 0.9
    np.testing.assert_allclose(image, RAMP / 4095, atol=1e-3)


def test_eight_bits_and_colour_become_grey(tmp_path):
    grey = (RAMP // 16).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(np.stack([grey] * 3, axis=2)).save(tmp_path / "b.png")
    np.testing.assert_allclose(read(tmp_path / "a.png"), grey / 255, atol=1e-6)
    np.testing.assert_allclose(read(tmp_path / "b.png"), grey / 255, atol=0.005)


def test_mask_values_are_as_stored(tmp_path):
    stored = np.zeros((20, 20), np.uint8)
    stored[3, 4], stored[5, 6] = 1, 2
    Image.fromarray(stored).save(tmp_path / "m.png")
    np.testing.assert_array_equal(pixels.read_mask(tmp_path / "m.png"), stored)


def test_decompression_bomb_is_refused_by_its_header(tmp_path):
    Image.new("1", (30000, 30000)).save(tmp_path / "bomb.png")
    with pytest.raises(BadStudy):
        pixels.read(tmp_path / "bomb.png")


def test_truncated_png(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(BadStudy, match=r"unreadable \.png"):
        pixels.read(tmp_path / "a.png")


def test_real_inverted_jpeg2000_chest_film(real):
    picture = pixels.read(real / "originals/dicom/RG1_J2KI.dcm")
    assert picture.modality == "CR"
    assert picture.image.shape == (1955, 1841)
    assert 0.1 < picture.image.mean() < 0.9


@pytest.mark.parametrize("name", ["mlut_18.dcm", "vlut_04.dcm"])
def test_real_lookup_tables(real, name):
    image = read(real / "originals/dicom" / name)
    assert image.max() - image.min() > 0.5
