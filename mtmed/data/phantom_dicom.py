"""A phantom's picture as the DICOM file that a scanner would have made of it."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from mtmed.config import PhantomSpec
from mtmed.types import Array


def write(path: Path, image: Array, spec: PhantomSpec, tags: dict[str, str]) -> None:
    """Write `image` [H,W] (brightness 0..1) as the scanner of `spec` stores it.

    Args:
        tags: DICOM keywords of this study, e.g. PatientID, ViewPosition; they also seed its UIDs.
    """
    dataset = Dataset()
    dataset.file_meta = _identify(dataset, spec, tags)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    _describe_pixels(dataset, image, spec)
    dataset.save_as(path, enforce_file_format=True)


def _identify(dataset: Dataset, spec: PhantomSpec, tags: dict[str, str]) -> FileMetaDataset:
    mammogram = spec.modality == "mammography"
    key = [str(spec.seed), spec.modality, *tags.values()]
    dataset.SOPClassUID = (
        DigitalMammographyXRayImageStorageForPresentation if mammogram else ComputedRadiographyImageStorage
    )
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", *key])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study", tags["PatientID"], tags["AccessionNumber"]])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", *key])
    dataset.Modality = "MG" if mammogram else "CR"
    dataset.StudyDate, dataset.StudyTime = "20200101", "120000"
    dataset.Manufacturer = "mtmed phantom"
    if mammogram:
        dataset.PresentationIntentType = "FOR PRESENTATION"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        dataset.SOPClassUID,
        dataset.SOPInstanceUID,
    )
    return meta


def _describe_pixels(dataset: Dataset, image: Array, spec: PhantomSpec) -> None:
    top = 2**spec.bits_stored - 1
    # the scanner leaves head room at both ends: brightness 0..1 is the middle 80 % of what it could store
    stored = np.round(np.clip(image, -0.1, 1.1) * 0.8 * top + 0.1 * top)
    slope, intercept = (1.0, 0.0) if spec.modality == "mammography" else (0.5, -20.0)
    centre = 0.5 * top
    if spec.photometric == "MONOCHROME1":
        stored, centre = top - stored, top - centre
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = spec.photometric
    dataset.Rows, dataset.Columns = image.shape
    dataset.BitsAllocated = 8 if spec.bits_stored == 8 else 16
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = (
        spec.bits_stored,
        spec.bits_stored - 1,
        0,
    )
    spacing = round((240.0 if spec.modality == "mammography" else 400.0) / spec.size, 4)
    dataset.PixelSpacing = dataset.ImagerPixelSpacing = [spacing, spacing]
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    if spec.window:
        dataset.WindowCenter, dataset.WindowWidth = _window(centre, 0.8 * top, slope, intercept)
    dataset.PixelData = stored.astype("u1" if spec.bits_stored == 8 else "<u2").tobytes()


def _window(centre: float, width: float, slope: float, intercept: float) -> tuple[float, float]:
    """Centre and width in rescaled units; DICOM's LINEAR function lies half a unit off and one unit wide."""
    return round(centre * slope + intercept + 0.5, 3), round(width * slope + 1, 3)
