"""What goes wrong in medical pixels: real files, written and read."""

import io
import time

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import Decoder
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG2MPML,
    BasicTextSRStorage,
    DigitalMammographyXRayImageStorageForProcessing,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    SegmentationStorage,
)

from mtmed.data import pixels
from mtmed.data.quality import BadStudy
from tests.dicom import RAMP, write_compressed, write_dicom

COLOURS = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
LUMINANCE = COLOURS @ np.array([0.299, 0.587, 0.114]) / 255
RGB = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}


def read(path):
    return pixels.read(path).image


def jpeg(values, quality=95):
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


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


def test_sigmoid_is_no_straight_line(tmp_path):
    window = {"WindowCenter": 2000, "WindowWidth": 1000}
    line = read(write_dicom(tmp_path / "a.dcm", **window))
    sigmoid = read(write_dicom(tmp_path / "b.dcm", VOILUTFunction="SIGMOID", **window))
    expected = 1 / (1 + np.exp(-4 * (RAMP - 2000.0) / 1000))
    np.testing.assert_allclose(sigmoid, expected, atol=1e-3)
    assert np.abs(sigmoid - line).max() > 0.05


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


@pytest.mark.parametrize("written", [-2000, 63536])
def test_padding_of_signed_pixels_however_it_is_written(tmp_path, written):
    stored = RAMP.astype(np.int16) // 8
    stored[:, :8] = -2000
    file = {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15}
    path = write_dicom(tmp_path / "a.dcm", stored.view(np.uint16), **file)
    dataset = pydicom.dcmread(path)
    dataset.add_new("PixelPaddingValue", "SS" if written < 0 else "US", written)
    dataset.save_as(path)
    image = read(path)
    assert (image[:, :8] == 0).all()
    assert image[:, 8:].min() == 0
    assert 0.4 < np.median(image[:, 8:]) < 0.6


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"NumberOfFrames": 2, "PixelData": RAMP.tobytes() * 2}, "series of frames: expected one image, got 2"),
        ({"PixelData": RAMP.tobytes() * 2}, "series of frames: expected 2560 bytes of pixels for one image, got 5120"),
        (RGB, "expected MONOCHROME1 or 2, got RGB"),
        ({**RGB, "Modality": "MG"}, "expected MONOCHROME1 or 2, got RGB"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "expected MONOCHROME1 or 2, got PALETTE COLOR"),
        ({"SamplesPerPixel": 3}, "expected 1 samples per pixel of MONOCHROME2, got 3"),
        ({"Rows": 60000, "Columns": 60000}, "image too large"),
        ({"Rows": 1, "Columns": 1}, "image too small: expected at least 16 x 16 pixels, got 1 x 1"),
        ({"PixelData": RAMP.tobytes()[:900]}, "truncated: expected 2560 bytes of pixels, got 900"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "expected FOR PRESENTATION, got FOR PROCESSING"),
        ({"SOPClassUID": DigitalMammographyXRayImageStorageForProcessing}, "got FOR PROCESSING"),
        ({"SOPClassUID": SegmentationStorage}, "no picture: expected an image, got Segmentation Storage"),
        ({"Rows": None, "SOPClassUID": BasicTextSRStorage}, "got Basic Text SR Storage without Rows and Columns"),
        ({"BitsStored": None}, "incomplete header: expected BitsStored, got none that can be read"),
        ({"BitsStored": 99}, "unreadable pixels, stored as Explicit VR Little Endian (ValueError)"),
    ],
)  # fmt: skip
def test_refused_with_a_reason(tmp_path, tags, reason):
    with pytest.raises(BadStudy) as caught:
        pixels.read(write_dicom(tmp_path / "a.dcm", **tags))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_of_ultrasound_is_its_luminance(tmp_path, planar):
    stored = COLOURS if planar == 0 else np.moveaxis(COLOURS, 2, 0).copy()
    path = write_dicom(tmp_path / "a.dcm", COLOURS, **{**RGB, "Modality": "US", "PlanarConfiguration": planar},
                       PixelData=stored.tobytes())  # fmt: skip
    np.testing.assert_allclose(read(path), LUMINANCE, atol=1e-5)


def test_luminance_of_what_is_stored_as_luminance(tmp_path):
    """YBR_FULL: grey content has no colour, so that the picture is the Y that is stored."""
    stored = np.stack([(RAMP // 16).astype(np.uint8), *[np.full(RAMP.shape, 128, np.uint8)] * 2], axis=2)
    tags = {**RGB, "Modality": "US", "PhotometricInterpretation": "YBR_FULL"}
    np.testing.assert_allclose(read(write_dicom(tmp_path / "a.dcm", stored, **tags)), stored[..., 0] / 255, atol=0.005)


@pytest.mark.parametrize("bits", [8, 16])
def test_palette_of_ultrasound(tmp_path, bits):
    kind, top = (np.uint8, 255) if bits == 8 else (np.uint16, 65535)
    entries = np.random.default_rng(1).integers(0, top + 1, (256, 3)).astype(kind)
    entries[0] = top
    indices = (RAMP // 16).astype(np.uint8)
    tags = {"Modality": "US", "PhotometricInterpretation": "PALETTE COLOR"}
    for n, colour in enumerate(("Red", "Green", "Blue")):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        tags[f"{colour}PaletteColorLookupTableData"] = entries[:, n].tobytes()
    expected = entries[indices] @ np.array([0.299, 0.587, 0.114]) / top
    np.testing.assert_allclose(read(write_dicom(tmp_path / "a.dcm", indices, **tags)), expected, atol=1e-4)


def test_damaged_compressed_file(tmp_path):
    path = write_compressed(tmp_path / "a.dcm", b"\xff\x4f nonsense", JPEG2000Lossless)
    with pytest.raises(BadStudy, match=r"^damaged: compressed pixels without the header of an image$"):
        pixels.read(path)


def test_jpeg_is_read(tmp_path):
    values = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[:, None], 64, axis=1)
    path = write_compressed(
        tmp_path / "a.dcm", jpeg(values), JPEGBaseline8Bit, values, WindowCenter=128, WindowWidth=256
    )
    np.testing.assert_allclose(read(path), values / 255, atol=0.03)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLSLossless])
def test_jpeg_that_ends_too_early_is_not_filled_up(tmp_path, syntax):
    """The decoder gives a picture whose lower half is grey, and says nothing."""
    values = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    frame = jpeg(values) if syntax == JPEGBaseline8Bit else _jpeg_ls()
    with pytest.raises(BadStudy, match="truncated: compressed pixels without their end"):
        pixels.read(write_compressed(tmp_path / "a.dcm", frame[: len(frame) // 2], syntax, values))


def _jpeg_ls():
    file = pydicom.dcmread(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False))
    return get_frame(file.PixelData, 0, number_of_frames=1)


def test_compressed_by_what_nobody_decodes(tmp_path):
    path = write_compressed(tmp_path / "a.dcm", b"\x00\x00\x01\xb3" * 20, MPEG2MPML)
    reason = r"compressed as MPEG2 Main Profile / Main Level: no decoder for it is installed"
    with pytest.raises(BadStudy, match=reason):
        pixels.read(path)


def test_transfer_syntax_without_its_plug_in(tmp_path, monkeypatch):
    monkeypatch.setattr(Decoder, "is_available", property(lambda _: False))
    values = np.zeros((64, 64), np.uint8)
    with pytest.raises(BadStudy, match=r"compressed as JPEG Baseline \(Process 1\): no decoder"):
        pixels.read(write_compressed(tmp_path / "a.dcm", jpeg(values), JPEGBaseline8Bit, values))


def test_private_transfer_syntax_is_not_quoted(tmp_path):
    path = write_dicom(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\x00", b"1.2.3.4567.19620518\x00"))
    with pytest.raises(BadStudy, match=r"^unknown transfer syntax: expected one that DICOM defines$"):
        pixels.read(path)


def test_header_alone_is_read_of_what_is_refused(tmp_path):
    """A film of many frames is refused before its pixels are read."""
    path = write_dicom(tmp_path / "a.dcm", NumberOfFrames=3, PixelData=bytes(2**27))
    start = time.perf_counter()
    with pytest.raises(BadStudy, match="got 3 frames"):
        pixels.read(path)
    assert time.perf_counter() - start < 1
