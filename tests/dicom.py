"""DICOM files for tests, whole ones and broken ones."""

import zlib
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID, ComputedRadiographyImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

RAMP = np.linspace(0, 4000, 32 * 40).reshape(32, 40).astype(np.uint16)


def film(stored: np.ndarray = RAMP, **tags: object) -> Dataset:
    """A CR image of 12 bits, or of 8 where `stored` has them, with more tags by keyword."""
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID, file.SOPInstanceUID, file.Modality = ComputedRadiographyImageStorage, "1.2.3", "CR"
    file.Rows, file.Columns = stored.shape[:2]
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = 8 if stored.dtype == np.uint8 else 12
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = (bits + 7) // 8 * 8, bits, bits - 1, 0
    file.add_new("PixelData", "OB" if bits == 8 else "OW", stored.tobytes())
    for name, value in tags.items():
        setattr(file, name, value)
    return file


def write_dicom(path: Path, stored: np.ndarray = RAMP, **tags: object) -> Path:
    """A film as a file."""
    film(stored, **tags).save_as(path, enforce_file_format=True)
    return path


def write_compressed(path: Path, frame: bytes, syntax: UID, stored: np.ndarray = RAMP, **tags: object) -> Path:
    """A film whose pixels are these compressed bytes, whatever they are."""
    file = film(stored, **tags)
    file.file_meta.TransferSyntaxUID = syntax
    file.PixelData = encapsulate([frame])
    file["PixelData"].VR = "OB"
    file["PixelData"].is_undefined_length = True
    file.save_as(path, enforce_file_format=True)
    return path


def write_deflated(path: Path, elements: Dataset, then: bytes = b"", zeros: int = 0) -> Path:
    """A deflated file of some elements, these bytes, and as many zeros."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3"
    head, body = DicomBytesIO(), DicomBytesIO()
    for stream in (head, body):
        stream.is_little_endian, stream.is_implicit_VR = True, False
    write_file_meta_info(head, meta)
    write_dataset(body, elements)
    deflater, block = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS), bytes(2**20)
    parts = [deflater.compress(body.getvalue() + then)]
    parts += [deflater.compress(block) for _ in range(zeros // len(block))]
    path.write_bytes(bytes(128) + b"DICM" + head.getvalue() + b"".join(parts) + deflater.flush())
    return path
