"""DICOM pixels as displayed brightness: modality LUT, then window or VOI LUT, then MONOCHROME1's inversion.

The order is the standard's (PS3.4 N.2): a window is in units after the modality LUT, before the inversion.
"""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

from mtmed.data.quality import BadStudy, check_size
from mtmed.types import Array

EXTREME = 1e12


def read(path: Path) -> tuple[Array, tuple[float, float] | None, str | None]:
    """Brightness [H,W] float32 in 0..1, millimetres per pixel, and the DICOM modality."""
    try:
        dataset = pydicom.dcmread(path)
    except InvalidDicomError:
        with path.open("rb") as file:
            start = file.read(24)
        raise BadStudy(f"not DICOM: expected 'DICM' after 128 bytes, got a file of {start!r}") from None
    _check_header(dataset)
    return brightness(dataset), spacing(dataset), dataset.get("Modality") or None


def brightness(dataset: Dataset) -> Array:
    """The picture [H,W] that a workstation would show with the file's first window."""
    stored = dataset.pixel_array
    values = np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
    if dataset.get("VOILUTSequence"):
        shown, low, high = _by_table(values, dataset)
    elif _has_window(dataset):
        shown = apply_windowing(values, dataset)
        low, high = apply_windowing(np.array([-EXTREME, EXTREME]), dataset)
    else:
        shown, (low, high) = values, np.percentile(values[~_padding(stored, dataset)], [0.2, 99.8])
    shown = np.clip((shown - low) / max(high - low, 1e-9), 0, 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    shown[_padding(stored, dataset)] = 0
    return shown.astype(np.float32)


def spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Millimetres per pixel (row, column); on projections it is often stated at the detector only."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        value = dataset.get(keyword)
        if value and len(value) == 2 and min(value) > 0:
            return float(value[0]), float(value[1])
    return None


def _check_header(dataset: Dataset) -> None:
    """Refuse what would be misread, before its pixels are decoded."""
    if "Rows" not in dataset or "PixelData" not in dataset:
        raise BadStudy("DICOM without pixels: expected an image, got a report, a presentation state or the like")
    check_size(int(dataset.Rows), int(dataset.Columns))
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise BadStudy(f"series of frames: expected one image, got {dataset.NumberOfFrames} frames")
    if not str(dataset.get("PhotometricInterpretation")).startswith("MONOCHROME"):
        raise BadStudy(f"colour: expected MONOCHROME1 or 2, got {dataset.get('PhotometricInterpretation')}")
    _check_length(dataset)
    if dataset.get("PresentationIntentType") == "FOR PROCESSING":
        raise BadStudy("raw detector values: expected FOR PRESENTATION, got FOR PROCESSING")


def _check_length(dataset: Dataset) -> None:
    """Refuse a file that ends before its pixels do; compressed ones fail in their decoder."""
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        return
    expected = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    if len(dataset.PixelData) < expected:
        raise BadStudy(f"truncated: expected {expected} bytes of pixels, got {len(dataset.PixelData)}")


def _has_window(dataset: Dataset) -> bool:
    """Whether the first window is one; a width of 0 is found in the wild and means none."""
    widths, centres = dataset.get("WindowWidth"), dataset.get("WindowCenter")
    if widths is None or centres is None or widths == "" or centres == "":
        return False
    first = float(widths[0] if isinstance(widths, pydicom.multival.MultiValue) else widths)
    return first > 1 or (first > 0 and dataset.get("VOILUTFunction", "LINEAR") != "LINEAR")


def _by_table(values: Array, dataset: Dataset) -> tuple[Array, float, float]:
    """Values through the first VOI LUT, and what is black and white.

    Those are the table's own extremes: many tables of 12 bits say that they have 16.
    """
    count, first, _ = (int(v) for v in dataset.VOILUTSequence[0].LUTDescriptor)
    entries = apply_voi(np.arange(first, first + (count or 2**16)), dataset)
    return apply_voi(values.astype(np.int64), dataset), float(entries.min()), float(entries.max())


def _padding(stored: Array, dataset: Dataset) -> Array:
    """Pixels [H,W] bool that the scanner filled in around the picture; all False where there are none."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, bool)
    limit = dataset.get("PixelPaddingRangeLimit", value)
    padding = (stored >= min(value, limit)) & (stored <= max(value, limit))
    return padding if not padding.all() else np.zeros(stored.shape, bool)
