"""Image files as displayed brightness, whatever stored them: DICOM, PNG, JPEG, PGM, TIFF."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mtmed.data import pixels_dicom
from mtmed.data.quality import BadStudy, check_size
from mtmed.types import Array

DICOM_SUFFIXES = {".dcm", ".dicom", ".dic", ""}
GREY_MODES = {"1", "L", "I", "F", "I;16", "I;16B", "I;16L"}


@dataclass(frozen=True)
class Picture:
    """An image as a reader would see it.

    Attributes:
        image: [H,W] float32 in 0..1, brightness as displayed (dense tissue is bright).
        spacing_mm: millimetres per pixel (row, column), or None where the file does not say.
        modality: the DICOM modality (MG, CR, DX, ...), or None for other formats.
    """

    image: Array
    spacing_mm: tuple[float, float] | None = None
    modality: str | None = None


def read(path: Path) -> Picture:
    """Read an image file.

    Raises:
        BadStudy: missing, unreadable, of many frames, in colour (DICOM), or of an absurd size.
    """
    with _one_line(path):
        if _is_dicom(path):
            return Picture(*pixels_dicom.read(path))
        return Picture(_brightness(_decode(path, grey=True)))


def read_mask(path: Path) -> Array:
    """The stored values [H,W] of a mask file, unscaled: 0, 1, 2 or 255 mean what the data set says."""
    with _one_line(path):
        return _decode(path, grey=False).astype(np.int64)


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Any failure of any decoder becomes the reason for which this one study is left out."""
    if not path.is_file():
        raise BadStudy(f"no file {path.name}")
    try:
        with warnings.catch_warnings():
            # decoders warn of every harmless oddity; what is not harmless is checked afterwards
            warnings.simplefilter("ignore")
            yield
    except BadStudy:
        raise
    except Exception as error:  # what pydicom, pillow and the codecs raise on damaged files is not enumerable
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise BadStudy(f"unreadable {path.suffix or 'file'}: {reason}") from error


def _is_dicom(path: Path) -> bool:
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _decode(path: Path, grey: bool) -> Array:
    with Image.open(path) as file:
        check_size(file.height, file.width)
        if getattr(file, "n_frames", 1) > 1:
            raise BadStudy(f"series of frames: expected one image, got {getattr(file, 'n_frames', 0)} frames")
        # a palette or colour mask keeps its index or first channel, an image becomes grey
        if file.mode in GREY_MODES or (file.mode == "P" and not grey):
            return np.asarray(file)
        return np.asarray(file.convert("RGB").convert("L"))


def _brightness(values: Array) -> Array:
    """Brightness 0..1 of decoded values [H,W], by type: 8 bits are 0..255, of more as many as are used."""
    if values.dtype == np.bool_ or values.dtype == np.uint8:
        return (values / np.float32(255 if values.dtype == np.uint8 else 1)).astype(np.float32)
    if values.dtype.kind == "f":
        low, high = np.nanpercentile(values, [0.5, 99.5])
        return np.clip((values - low) / max(high - low, 1e-9), 0, 1).astype(np.float32)
    # 12 bits in a 16-bit file are common: 65535 would leave them nearly black
    bits = max(8, int(values.max()).bit_length())
    return (values / np.float32(2**bits - 1)).astype(np.float32)
