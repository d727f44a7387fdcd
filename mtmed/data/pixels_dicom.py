"""DICOM pixels as displayed brightness: modality LUT, then window or VOI LUT, then MONOCHROME1's inversion.

The order is the standard's (PS3.4 N.2): a window is in units after the modality LUT, before the inversion.
PresentationLUTShape adds nothing: on files for presentation it repeats MONOCHROME1 or 2 (PS3.3 C.8.11.3.1.2).
"""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing
from pydicom.uid import (
    UID,
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForProcessing,
    ParametricMapStorage,
    RTDoseStorage,
    SegmentationStorage,
)

from mtmed.data import dicom_file
from mtmed.data.dicom_facts import Facts, facts
from mtmed.data.quality import BadStudy, check_size
from mtmed.types import Array

EXTREME = 1e12
RAW = (
    DigitalXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalIntraOralXRayImageStorageForProcessing,
)
NO_PICTURES = (SegmentationStorage, RTDoseStorage, ParametricMapStorage)  # they have pixels all the same
NEEDED = ("SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation")
# of a screen in colour the grey picture is the luminance: what YBR calls Y (ITU-R BT.601, PS3.3 C.7.6.3.1.2)
LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")


def read(path: Path) -> tuple[Array, Facts]:
    """Brightness [H,W] float32 in 0..1, and what the header says of it.

    Raises:
        BadStudy: no single picture that can be shown; the reason quotes no text of the file.
    """
    header = dicom_file.header(path)
    _check_header(header)
    stored = dicom_file.stored(path, header)
    return brightness(stored, header), facts(header)


def read_mask(path: Path) -> Array:
    """The stored values [H,W] of a mask in a DICOM file, as they are."""
    header = dicom_file.header(path)
    _check_header(header)
    return dicom_file.stored(path, header)


def brightness(stored: Array, header: Dataset) -> Array:
    """The picture [H,W] float32 in 0..1 that a workstation would show with the file's first window."""
    if not header.PhotometricInterpretation.startswith("MONOCHROME"):
        return _grey(stored, header)
    values = np.asarray(apply_modality_lut(stored, header), dtype=np.float64)
    if header.get("VOILUTSequence"):
        shown, low, high = _by_table(values, header)
    elif _has_window(header):
        shown = apply_windowing(values, header)
        low, high = apply_windowing(np.array([-EXTREME, EXTREME]), header)
    else:
        shown, (low, high) = values, np.percentile(values[~_padding(stored, header)], [0.2, 99.8])
    shown = np.clip((shown - low) / max(high - low, 1e-9), 0, 1)
    if header.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    shown[_padding(stored, header)] = 0
    return shown.astype(np.float32)


def _check_header(header: Dataset) -> None:
    """Refuse what would be misread, before its pixels are decoded."""
    _check_kind(header)
    check_size(int(header.Rows), int(header.Columns))
    if int(header.get("NumberOfFrames", 1)) > 1:
        raise BadStudy(f"series of frames: expected one image, got {header.NumberOfFrames} frames")
    missing = [keyword for keyword in NEEDED if keyword not in header]
    if missing:
        raise BadStudy(f"incomplete header: expected {', '.join(missing)}, got none that can be read")
    _check_colour(header)
    if header.get("PresentationIntentType") == "FOR PROCESSING" or header.get("SOPClassUID") in RAW:
        raise BadStudy("raw detector values: expected FOR PRESENTATION, got FOR PROCESSING")


def _check_kind(header: Dataset) -> None:
    kind = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
    # of the standard's own dictionary: the file's text is not quoted
    name = UID(kind).name if kind else "an object of unknown kind"
    if "Rows" not in header or "Columns" not in header:
        raise BadStudy(f"DICOM without pixels: expected an image, got {name} without Rows and Columns")
    if kind in NO_PICTURES:
        raise BadStudy(f"no picture: expected an image, got {name}")


def _check_colour(header: Dataset) -> None:
    """Radiographs are grey; ultrasound machines store their whole screen, often in colour."""
    kind, samples = header.PhotometricInterpretation, int(header.SamplesPerPixel)
    accepted = COLOURS if header.get("Modality") == "US" else ()
    if not kind.startswith("MONOCHROME") and kind not in accepted:
        raise BadStudy(f"colour: expected MONOCHROME1 or 2, got {kind}")
    expected = 3 if kind in COLOURS and kind != "PALETTE COLOR" else 1
    if samples != expected:
        raise BadStudy(f"inconsistent header: expected {expected} samples per pixel of {kind}, got {samples}")


def _grey(stored: Array, header: Dataset) -> Array:
    """Luminance [H,W] in 0..1 of colours [H,W,3], or of indices [H,W] into the file's palette."""
    if header.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(stored, header)
        top = 255 if colours.max() <= 255 else 65535
    else:
        colours, top = stored, 2 ** int(header.BitsStored) - 1
    return np.clip(colours @ (LUMINANCE / np.float32(top)), 0, 1).astype(np.float32)


def _has_window(header: Dataset) -> bool:
    """Whether the first window is one; a width of 0 is found in the wild and means none."""
    widths, centres = header.get("WindowWidth"), header.get("WindowCenter")
    if widths is None or centres is None:
        return False
    first = float(widths[0] if isinstance(widths, pydicom.multival.MultiValue) else widths)
    return first > 1 or (first > 0 and header.get("VOILUTFunction", "LINEAR") != "LINEAR")


def _by_table(values: Array, header: Dataset) -> tuple[Array, float, float]:
    """Values through the first VOI LUT, and what is black and white.

    Those are the table's own extremes: many tables of 12 bits say that they have 16.
    """
    count, first, _ = (int(v) for v in header.VOILUTSequence[0].LUTDescriptor)
    entries = apply_voi(np.arange(first, first + (count or 2**16)), header)
    return apply_voi(values.astype(np.int64), header), float(entries.min()), float(entries.max())


def _padding(stored: Array, header: Dataset) -> Array:
    """Pixels [H,W] bool that the scanner filled in around the picture; all False where there are none."""
    value = header.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, bool)
    limit = header.get("PixelPaddingRangeLimit", value)
    low, high = sorted(_as_stored(int(v), header) for v in (value, limit))
    padding = (stored >= low) & (stored <= high)
    return padding if not padding.all() else np.zeros(stored.shape, bool)


def _as_stored(value: int, header: Dataset) -> int:
    """A value of pixels as they are read: -2000 among signed pixels is often written as 63536."""
    bits = int(header.BitsAllocated)
    if header.PixelRepresentation == 1 and value >= 2 ** (bits - 1):
        return value - 2**bits
    return value + 2**bits if header.PixelRepresentation == 0 and value < 0 else value
