"""A site whose every text names somebody: each textual element of the DICOM dictionary, file names, table cells."""

import csv
import warnings
from pathlib import Path

import pydicom
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence

from mtmed.phantoms import write
from mtmed.specs import PhantomSpec

NAME = "PLANTEDDOE"
DATE, TIME, UID, NUMBER = "19010203", "112233.445566", "1.2.777.88877799.1", "7777177771"
MARKS = (NAME, DATE, TIME, UID, NUMBER)
VALUES = {
    **dict.fromkeys(("PN", "LO", "SH", "ST", "LT", "UT", "AE", "CS", "UC", "UR"), NAME),
    **{"DA": DATE, "DT": f"{DATE}112233", "TM": TIME, "UI": UID, "IS": NUMBER, "DS": NUMBER, "AS": "077Y"},
}


def plant(dataset: Dataset) -> None:
    """Put a mark into every textual element that the dataset does not have, at the top, in an item and privately."""
    item = Dataset()
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if vr in VALUES and keyword and tag > 0x0008_0000 and tag not in dataset:
            dataset.add_new(tag, vr, VALUES[vr])
            item.add_new(tag, vr, VALUES[vr])
    for sequence in ("RequestAttributesSequence", "ViewCodeSequence", "AnatomicRegionSequence"):
        setattr(dataset, sequence, Sequence([item]))
    for group, vr in ((0x0099, "LO"), (0x0077, "UT")):
        dataset.private_block(group, NAME, create=True).add_new(1, vr, NAME)


def write_site(folder: Path, **spec: object) -> None:
    """A phantom's studies under names that tell, with planted headers and a table with more columns than it needs."""
    write(
        PhantomSpec.model_validate({"modality": "mammography", "patients": 20, "size": 96, "broken": 5, **spec}), folder
    )
    with (folder / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        path = folder / row["image"]
        row["image"] = f"images/{NAME}-{number}.dcm"
        _rewrite(path, folder / row["image"])
        row["patient_id"] = f"{NAME}^{row['patient_id']}"
        row |= {"name": NAME, "born": DATE, "accession": NUMBER}
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _rewrite(source: Path, target: Path) -> None:
    """Under another name, planted if it can be read as DICOM; a damaged file gets a name into its bytes."""
    data = source.read_bytes()
    source.unlink()
    target.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of dates, numbers and encodings that it would not have written
        try:
            dataset = pydicom.dcmread(target)
        except InvalidDicomError:  # the phantom broke it on purpose
            target.write_bytes(data + NAME.encode())
            return
        plant(dataset)
        dataset.save_as(target)
