"""Image files as displayed brightness, whatever stored them: DICOM, PNG, JPEG, PGM, TIFF."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from mtmed.data import burned_in, pixels_dicom
from mtmed.data.quality import BadStudy, check_size
from mtmed.types import Array

DICOM_SUFFIXES = {".dcm", ".dicom", ".dic", ".ima", ""}
# no others: a PostScript file is a program
FORMATS = ("PNG", "JPEG", "PPM", "TIFF", "BMP", "GIF", "JPEG2000", "WEBP")
LOSSY = ("JPEG", "JPEG2000", "WEBP")  # the last two may be lossless; as masks nobody uses them
GREY_MODES = {"1", "L", "I", "F", "I;16", "I;16B", "I;16L"}
IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".pgm", ".ppm", ".pnm", ".tif", ".tiff"),
    *(".bmp", ".gif", ".jp2", ".webp"),
)
# how files begin that are often found under an image's name
OTHERS = {
    b"<": "a web page or XML",
    b"%PDF": "a PDF",
    b"PK": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"version https://git-lfs": "a Git LFS pointer: the file itself is still to be fetched",
}
OLD_DICOM = (b"\x08\x00", b"\x00\x08", b"\x02\x00")  # group of the first element where there is no "DICM"

# at their lower levels both quote the values of headers
for _library in ("pydicom", "PIL"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Picture:
    """An image as a reader would see it.

    Attributes:
        image: [H,W] float32 in 0..1, brightness as displayed (dense tissue is bright).
        spacing_mm: millimetres per pixel (row, column), or None where the file does not say.
        modality: the DICOM modality (MG, CR, DX, ...), or None for other formats.
        view: DICOM's code of the view (CC, MLO, PA, AP, ...), or "" where the file says none that is known.
        laterality: L, R, or "" where the file says neither or both.
        burned_in: why the pixels may hold text that names the patient, or "" (see `burned_in.flag`).
    """

    image: Array
    spacing_mm: tuple[float, float] | None = None
    modality: str | None = None
    view: str = ""
    laterality: str = ""
    burned_in: str = ""


def read(path: Path) -> Picture:
    """Read an image file.

    Raises:
        BadStudy: missing, unreadable, of many frames, in colour (DICOM but ultrasound), or of an absurd size. The
            reason quotes neither the file's name nor any text in it: reasons leave in reports.
    """
    with _one_line(path):
        if not _is_dicom(path):
            image = _brightness(_decode(path, _grey))
            return Picture(image, burned_in=burned_in.flag(None, image))
        image, said = pixels_dicom.read(path)
        found = burned_in.flag(said.stated_burned_in, image)
        return Picture(image, said.spacing_mm, said.modality, said.view, said.laterality, found)


def read_mask(path: Path) -> Array:
    """The stored values [H,W] of a mask file, unscaled: 0, 1, 2 or 255 mean what the data set says.

    Raises:
        BadStudy: as `read`, or a picture whose values are no labels.
    """
    with _one_line(path):
        stored = pixels_dicom.read_mask(path) if _is_dicom(path) else _decode(path, _labels)
        return stored.astype(np.int32)


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Any failure of any decoder becomes the reason for which this one study is left out."""
    try:
        if not path.is_file():
            raise BadStudy("no such file")
        with warnings.catch_warnings():
            # decoders warn of every harmless oddity; what is not harmless is checked afterwards
            warnings.simplefilter("ignore")
            yield
    except BadStudy:
        raise
    except Exception as error:  # what pydicom, pillow and the codecs raise on damaged files is not enumerable
        # not chained: their texts may quote the header or the name, and a log would print them
        raise BadStudy(f"unreadable {_suffix(path)}: {_reason(error)}") from None


def _suffix(path: Path) -> str:
    """What follows a file's last dot, if it is of an image: of `smith.john` it is a name too."""
    suffix = path.suffix.lower()
    return suffix if suffix and suffix in {*DICOM_SUFFIXES, *IMAGE_SUFFIXES} else "file"


def _reason(error: Exception) -> str:
    """What is wrong, without a word of what a library said."""
    if isinstance(error, Image.DecompressionBombError):
        return "image too large to decode safely"
    if isinstance(error, MemoryError):
        return "more memory needed than there is"
    if isinstance(error, OSError) and error.errno:
        return f"the disk or its permissions say no ({type(error).__name__})"
    return f"damaged, cut short, or not what its header says ({type(error).__name__})"


def _is_dicom(path: Path) -> bool:
    """By content; a name decides only for files from before DICOM had a mark of its own."""
    start = _start(path)
    if not start:
        raise BadStudy("empty file: expected an image, got 0 bytes")
    return start[128:] == b"DICM" or (start[:2] in OLD_DICOM and path.suffix.lower() in DICOM_SUFFIXES)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(132)


def _open(path: Path) -> ImageFile:
    try:
        return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        start = _start(path).lstrip()
    kind = next((kind for first, kind in OTHERS.items() if start.startswith(first)), "something else")
    if path.suffix.lower() in DICOM_SUFFIXES:
        raise BadStudy(f"not DICOM: expected 'DICM' after 128 bytes, got {kind}")
    raise BadStudy(f"unreadable {_suffix(path)}: expected DICOM, PNG, JPEG, PGM or TIFF, got {kind}")


def _decode(path: Path, values: Callable[[ImageFile], Array]) -> Array:
    with _open(path) as file:
        check_size(file.height, file.width)
        if getattr(file, "n_frames", 1) > 1:
            raise BadStudy(f"series of frames: expected one image, got {getattr(file, 'n_frames', 0)} frames")
        return values(file)


def _grey(file: ImageFile) -> Array:
    return np.asarray(file if file.mode in GREY_MODES else file.convert("RGB").convert("L"))


def _labels(file: ImageFile) -> Array:
    """The values of a mask: grey ones, whatever holds them, or the indices of a palette of colours."""
    if file.format == "PPM" and _levels(file) not in (255, 65535):  # others are scaled by the decoder
        raise BadStudy("mask of scaled values: expected a PGM of 255 levels, or PNG")
    values = np.asarray(file if file.mode in GREY_MODES else file.convert("RGB"))
    if values.ndim == 3:
        if (values == values[..., :1]).all():
            values = values[..., 0]
        elif file.mode == "P":
            values = np.asarray(file)
        else:
            raise BadStudy("mask in colours: expected one value per pixel, as in a PNG of grey levels")
    return _black_and_white(values) if file.format in LOSSY else values


def _levels(file: ImageFile) -> int:
    """The largest value that a PGM may hold; its decoders are called `ppm...` where that is to be minded."""
    decoder, _, _, arguments = file.tile[0]
    return int(arguments[1]) if decoder.startswith("ppm") and isinstance(arguments, tuple) else 255


def _black_and_white(values: Array) -> Array:
    """Of a compression that blurs, 0 and 255: no other value would survive."""
    if np.mean((values > 64) & (values < 192)) > 0.05:
        raise BadStudy("mask of blurred values: expected black and white, or a format that keeps values, as PNG")
    return np.where(values > 127, np.uint8(255), np.uint8(0))


def _brightness(values: Array) -> Array:
    """Brightness 0..1 of decoded values [H,W], by type: 8 bits are 0..255, of more as many as are used."""
    if values.dtype == np.bool_ or values.dtype == np.uint8:
        return (values / np.float32(255 if values.dtype == np.uint8 else 1)).astype(np.float32)
    # values below 0 have no bits that would say what is black: they are measurements, as floats are
    if values.dtype.kind == "f" or values.min() < 0:
        return _stretched(values.astype(np.float32))
    # 12 bits in a 16-bit file are common: 65535 would leave them nearly black
    bits = max(8, int(values.max()).bit_length())
    return (values / np.float32(2**bits - 1)).astype(np.float32)


def _stretched(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise BadStudy("image with values that are not finite numbers")
    low, high = np.percentile(values, [0.5, 99.5])
    return np.clip((values - low) / max(high - low, 1e-9), 0, 1).astype(np.float32)
