"""A phantom's picture as the DICOM file that a scanner would have made of it."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from mtmed.phantoms._exam import Exam, Modality
from mtmed.specs import PhantomSpec
from mtmed.types import Array


def write(path: Path, image: Array, spacing: float, spec: PhantomSpec, exam: Exam, modality: Modality) -> None:
    """Write `image` [H,W] (brightness 0..1, `spacing` mm per pixel) as the scanner of `spec` stores it."""
    dataset = Dataset()
    modality.describe(dataset, exam, spacing)
    dataset.file_meta = _identify(dataset, spec, exam)
    _describe_pixels(dataset, image, spec, modality.rescale)
    dataset.save_as(path, enforce_file_format=True)


def _identify(dataset: Dataset, spec: PhantomSpec, exam: Exam) -> FileMetaDataset:
    key = [str(spec.seed), spec.modality, exam.patient, exam.name, exam.view, exam.laterality]
    dataset.PatientID, dataset.AccessionNumber = exam.patient, exam.name
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", *key])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study", exam.patient, exam.name])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", *key])
    dataset.StudyDate, dataset.StudyTime = "20200101", "120000"
    dataset.Manufacturer, dataset.ManufacturerModelName = "mtmed phantom", exam.device
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    return meta


def _describe_pixels(dataset: Dataset, image: Array, spec: PhantomSpec, rescale: tuple[float, float]) -> None:
    top = 2**spec.bits_stored - 1
    # the scanner leaves head room at both ends: brightness 0..1 is the middle 80 % of what it could store
    stored = np.round(np.clip(image, -0.1, 1.1) * 0.8 * top + 0.1 * top)
    slope, intercept = rescale
    centre = 0.5 * top
    if spec.photometric == "MONOCHROME1":
        stored, centre = top - stored, top - centre
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = spec.photometric
    dataset.Rows, dataset.Columns = image.shape
    dataset.BitsAllocated = 8 if spec.bits_stored == 8 else 16
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = spec.bits_stored, spec.bits_stored - 1, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    if spec.window:
        dataset.WindowCenter, dataset.WindowWidth = _window(centre, 0.8 * top, slope, intercept)
    dataset.PixelData = stored.astype("u1" if spec.bits_stored == 8 else "<u2").tobytes()


def _window(centre: float, width: float, slope: float, intercept: float) -> tuple[float, float]:
    """Centre and width in rescaled units; DICOM's LINEAR function lies half a unit off and one unit wide."""
    return round(centre * slope + intercept + 0.5, 3), round(width * slope + 1, 3)
