"""Files that others made, odd ones among them, and files that were made to fill the memory."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from openjpeg.utils import encode_array
from PIL import Image
from pydicom.data.data_manager import DATA_ROOT
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from mtmed.data import dicom_file, pixels
from mtmed.data.quality import BadStudy
from tests.dicom import RAMP, film, write_compressed, write_deflated, write_dicom

# those that come with pydicom; it would fetch others, and tests use no network
FOLDER = Path(DATA_ROOT) / "test_files"
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file())
# [H,W] of what is read, or how the reason begins
EXPECTED: dict[str, tuple[int, int] | str] = {
    "693_J2KI.dcm": (512, 512),
    "CT_small.dcm": (128, 128),
    "ExplVR_BigEnd.dcm": (60, 80),
    "ExplVR_BigEndNoMeta.dcm": "DICOM without pixels: expected an image, got RT Ion Plan Storage",
    "ExplVR_LitEndNoMeta.dcm": "DICOM without pixels: expected an image, got RT Ion Plan Storage",
    "GDCMJ2K_TextGBR.dcm": "colour: expected MONOCHROME1 or 2, got YBR_RCT",
    "J2K_pixelrep_mismatch.dcm": (512, 512),
    "JPEG-lossy.dcm": "unreadable pixels, stored as JPEG Extended (Process 2 and 4)",
    "JPEG2000-embedded-sequence-delimiter.dcm": "damaged: compressed pixels without the header of an image",
    "JPEG2000.dcm": (1024, 256),
    "JPEGLSNearLossless_08.dcm": "image too small",
    "JPGExtended.dcm": (1024, 256),
    "MR_small.dcm": (64, 64),
    "MR_small_RLE.dcm": (64, 64),
    "MR_small_bigendian.dcm": (64, 64),
    "MR_small_expb.dcm": (64, 64),
    "MR_small_implicit.dcm": (64, 64),
    "MR_small_jp2klossless.dcm": (64, 64),
    "MR_small_jpeg_ls_lossless.dcm": (64, 64),
    "MR_small_padded.dcm": (64, 64),
    "MR_truncated.dcm": "truncated: expected 8192 bytes of pixels, got 8130",
    "README.txt": "unreadable file: expected DICOM, PNG, JPEG, PGM or TIFF",
    "SC_rgb_rle_2frame.dcm": "series of frames: expected one image, got 2 frames",
    "SC_rgb_jpeg.dcm": "colour: expected MONOCHROME1 or 2, got RGB",
    "SC_ybr_full_422_uncompressed.dcm": "colour: expected MONOCHROME1 or 2, got YBR_FULL_422",
    "badVR.dcm": "no picture: expected an image, got RT Dose Storage",
    "dicomdirtests/77654033/CR1/6154": (16, 16),
    "dicomdirtests/98892003/MR2/6935": (16, 16),
    "dicomdirtests/DICOMDIR": "DICOM without pixels: expected an image, got Media Storage Directory Storage",
    "dicomdirtests/DICOMDIR-bigEnd": "DICOM without pixels: expected an image, got Media Storage Directory Storage",
    "dicomdirtests/TINY_ALPHA/README": "not DICOM: expected 'DICM' after 128 bytes",
    "examples_jpeg2k.dcm": (480, 640),
    "examples_overlay.dcm": (300, 484),
    "examples_palette.dcm": (350, 800),
    "examples_rgb_color.dcm": (240, 320),
    "examples_ybr_color.dcm": "series of frames: expected one image, got 30 frames",
    "image_dfl.dcm": (512, 512),
    "liver_1frame.dcm": "no picture: expected an image, got Segmentation Storage",
    "meta_missing_tsyntax.dcm": "DICOM without pixels",
    "reportsi.dcm": "DICOM without pixels: expected an image, got Basic Text SR Storage",
    "rtdose_rle_1frame.dcm": "no picture: expected an image, got RT Dose Storage",
    "rtplan_truncated.dcm": "DICOM without pixels: expected an image, got RT Plan Storage",
    "rtstruct.dcm": "DICOM without pixels: expected an image, got RT Structure Set Storage",
    "waveform_ecg.dcm": "DICOM without pixels: expected an image, got 12-lead ECG Waveform Storage",
    "zipMR.gz": "unreadable file: expected DICOM, PNG, JPEG, PGM or TIFF, got a gzip archive",
}


def read_or_reason(path: Path) -> tuple[np.ndarray | None, str]:
    try:
        return pixels.read(path).image, ""
    except BadStudy as error:
        return None, str(error)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", FILES)
def test_every_file_is_read_or_refused_with_one_line(name):
    image, reason = read_or_reason(FOLDER / name)
    if image is None:
        assert 10 < len(reason) < 200
        assert "\n" not in reason
        return
    assert image.dtype == np.float32
    assert image.ndim == 2
    assert np.isfinite(image).all()
    assert 0 <= image.min() <= image.max() <= 1


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_expected_of_files_that_are_known(name):
    expected = EXPECTED[name]
    if isinstance(expected, tuple):
        image = pixels.read(FOLDER / name).image
        assert image.shape == expected
        assert image.max() - image.min() > 0.1
        return
    with pytest.raises(BadStudy) as caught:
        pixels.read(FOLDER / name)
    assert str(caught.value).startswith(expected)


@pytest.mark.filterwarnings("ignore")  # pydicom's, of what is odd in these files
@pytest.mark.parametrize("name", [name for name, expected in EXPECTED.items() if isinstance(expected, tuple)])
def test_pixels_are_those_that_pydicom_reads_at_once(name):
    """Here the header is read first, without most of its elements, and the pixels by themselves."""
    header = dicom_file.header(FOLDER / name)
    np.testing.assert_array_equal(dicom_file.stored(FOLDER / name, header), pydicom.dcmread(FOLDER / name).pixel_array)


def test_same_picture_in_every_transfer_syntax():
    plain = pixels.read(FOLDER / "MR_small.dcm").image
    for kind in ("RLE", "bigendian", "implicit", "jp2klossless", "jpeg_ls_lossless"):
        np.testing.assert_array_equal(pixels.read(FOLDER / f"MR_small_{kind}.dcm").image, plain)


def test_ultrasound_screens_have_their_text_flagged():
    assert pixels.read(FOLDER / "examples_rgb_color.dcm").burned_in
    assert pixels.read(FOLDER / "examples_palette.dcm").spacing_mm == pytest.approx((0.2623, 0.2623), abs=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm",
                                  "MR_small_RLE.dcm", "JPGExtended.dcm", "examples_palette.dcm"])  # fmt: skip
def test_file_cut_short_anywhere_is_refused(name, tmp_path):
    """Or read as if it were whole, where only what follows the pixels is missing."""
    data = (FOLDER / name).read_bytes()
    whole = pixels.read(FOLDER / name).image
    for share in (0.001, 0.1, 0.3, 0.5, 0.9, 0.99):
        (tmp_path / "a.dcm").write_bytes(data[: int(share * len(data))])
        image, _ = read_or_reason(tmp_path / "a.dcm")
        if image is not None:
            np.testing.assert_array_equal(image, whole)
            assert share > 0.9


def bombs(folder: Path) -> dict[str, str]:
    """Small files that claim or hold far more than they show, and how each is refused."""
    write_deflated(
        folder / "pixels.dcm", _before_pixels(), struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, 2**29), 2**29
    )
    write_deflated(folder / "private.dcm", Dataset(), struct.pack("<HH2sHL", 9, 0x1001, b"OB", 0, 2**29), 2**29)
    write_compressed(folder / "jpeg2000.dcm", _jpeg2000_of(30000), JPEG2000Lossless)
    write_compressed(folder / "jpeg.dcm", _jpeg_of(60000), JPEGBaseline8Bit, (RAMP // 16).astype(np.uint8))
    for name, runs in (("rle.dcm", (2**23, 2)), ("rle_late.dcm", (2, 2**23))):
        write_compressed(folder / name, _runs(*runs), RLELossless)
    Image.new("1", (11000, 11000)).save(folder / "a.png")
    Image.new("1", (11000, 11000)).save(folder / "a.tiff", compression="group4")
    size = "compressed image of another size: expected 32 x 40"
    return {
        "pixels.dcm": "truncated, or deflated from far more data than its header says",
        "private.dcm": "deflated from far more data than a header has",
        "jpeg2000.dcm": size,
        "jpeg.dcm": size,
        "rle.dcm": "unreadable pixels, stored as RLE Lossless",
        "rle_late.dcm": "unreadable pixels, stored as RLE Lossless",
        "a.png": "image too large",
        "a.tiff": "image too large",
    }


def _before_pixels() -> Dataset:
    elements = film()
    del elements.PixelData
    return elements


def _jpeg2000_of(side: int) -> bytes:
    frame = bytearray(encode_array(RAMP, photometric_interpretation=2, bits_stored=12))
    place = frame.find(b"\xff\x51")  # of SIZ: sizes of the image and of its one tile
    frame[place + 6 : place + 14] = frame[place + 22 : place + 30] = struct.pack(">II", side, side)
    return bytes(frame)


def _jpeg_of(side: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((RAMP // 16).astype(np.uint8)).save(stream, "JPEG")
    frame = bytearray(stream.getvalue())
    place = frame.find(b"\xff\xc0")
    frame[place + 5 : place + 9] = struct.pack(">HH", side, side)
    return bytes(frame)


def _runs(first: int, second: int) -> bytes:
    """Two segments of run lengths, so many bytes long: each pair stands for 128 bytes."""
    return struct.pack("<16L", 2, 64, 64 + first, *[0] * 13) + b"\x81\x00" * ((first + second) // 2)


READ = """
import resource, sys
from pathlib import Path
from mtmed.data import pixels
from mtmed.data.quality import BadStudy
for name in sys.argv[1:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        pixels.read(Path(name))
    except BadStudy as error:
        print(Path(name).name, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error, sep="|")
"""


@pytest.mark.timeout(120)
def test_bombs_are_refused_in_little_memory(tmp_path):
    """In a process of its own, whose peak is known; on Linux in KiB."""
    reasons = bombs(tmp_path)
    assert all((tmp_path / name).stat().st_size < 9 * 2**20 for name in reasons)
    run = subprocess.run(
        [sys.executable, "-c", READ, *(str(tmp_path / name) for name in reasons)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {name: (int(peak), reason) for name, peak, reason in (x.split("|") for x in run.stdout.splitlines())}
    assert found.keys() == reasons.keys()
    for name, (peak, reason) in found.items():
        assert reason.startswith(reasons[name]), name
        assert peak < 100 * 2**10, name


def test_file_larger_than_an_image_can_be(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_file, "LARGEST_FILE", 2**11)
    with pytest.raises(BadStudy, match="file too large"):
        pixels.read(write_dicom(tmp_path / "a.dcm"))


def test_deflated_film_is_the_film(tmp_path):
    plain = pixels.read(write_dicom(tmp_path / "a.dcm")).image
    np.testing.assert_array_equal(pixels.read(write_deflated(tmp_path / "b.dcm", film())).image, plain)


def test_real_inverted_jpeg2000_chest_film(real):
    picture = pixels.read(real / "originals/dicom/RG1_J2KI.dcm")
    assert (picture.modality, picture.view, picture.burned_in) == ("CR", "PA", "")
    assert picture.image.shape == (1955, 1841)
    assert 0.1 < picture.image.mean() < 0.9


@pytest.mark.parametrize("name", ["mlut_18.dcm", "vlut_04.dcm"])
def test_real_lookup_tables(real, name):
    image = pixels.read(real / "originals/dicom" / name).image
    assert image.max() - image.min() > 0.5
