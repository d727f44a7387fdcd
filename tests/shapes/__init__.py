"""Public data sets in their exact shape on disk, a few images each, drawn at random: no pixel is anybody's.

`write(folder)` of each module writes one that its reader accepts as a whole: several patients, at least one of them
with several images, positives and negatives. Traps of the format are added by the reader's own tests.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)


def picture(seed: int, height: int = 64, width: int = 48, top: int = 255) -> np.ndarray:
    """Noise [H,W] in 0..top, uint8 or uint16: no two seeds alike."""
    values = np.random.default_rng(seed).integers(0, top + 1, (height, width))
    return values.astype(np.uint8 if top < 256 else np.uint16)


def write_picture(path: Path, values: np.ndarray) -> None:
    """An image file, by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def write_dicom(path: Path, values: np.ndarray, modality: str, **tags: object) -> None:
    """A DICOM file of MONOCHROME2 pixels, 8 or 16 bits, with more tags by keyword."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = Dataset()
    file.SOPClassUID = (
        DigitalMammographyXRayImageStorageForPresentation if modality == "MG" else ComputedRadiographyImageStorage
    )
    file.SOPInstanceUID = generate_uid(entropy_srcs=[str(path.name)])
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
    file.Modality = modality
    file.Rows, file.Columns = values.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 0
    bits = 8 * values.dtype.itemsize
    file.BitsAllocated, file.BitsStored, file.HighBit = bits, bits, bits - 1
    file.PixelData = values.tobytes()
    for keyword, value in tags.items():
        setattr(file, keyword, value)
    file.save_as(path, enforce_file_format=True)


def write_lines(path: Path, *lines: str) -> None:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
