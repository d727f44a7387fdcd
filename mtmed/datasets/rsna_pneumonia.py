"""RSNA Pneumonia Detection Challenge (2018): chest films as DICOM, boxes around opacities."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mtmed.data.exam import Box, Exam
from mtmed.data.quality import BadStudy
from mtmed.data.table import Row, grouped, read_table
from mtmed.datasets._base import Card, Need, root
from mtmed.errors import UserError

LABELS, CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
IMAGES, MAPPING = "stage_2_train_images", "pneumonia-challenge-dataset-mappings_2018.json"

CARD = Card(
    title="RSNA Pneumonia",
    modality="chest_xray",
    terms={
        "boxes": ("opacity", "lesion"),
        "values": ("pneumonia", "opacity", "normal"),
    },
    needs=(
        Need(LABELS, "a row per box"),
        Need(f"{IMAGES}/*.dcm", "the films, one <patientId>.dcm each"),
        Need(CLASSES, "Normal, Lung Opacity, or neither", optional=True),
        Need(MAPPING, "which film is which of ChestX-ray14, and so of which patient", optional=True),
    ),
    patients="patientId is one per image; with the mapping file, the patients of ChestX-ray14",
    page="https://www.rsna.org/rsnai/ai-image-challenge/rsna-pneumonia-detection-challenge-2018",
    licence="RSNA's page: any use, commercial or not, that names the source; got from Kaggle, its rules bind too",
    citation="Shih et al., Radiology: Artificial Intelligence 2019, doi 10.1148/ryai.2019180041",
    defects=(
        "without the mapping file a patient's films may fall on both sides of the split",
        "pneumonia was read off single films without clinical data: it means an opacity that looks like it",
        "opacities alone were marked: films that are not normal have other abnormalities without a box",
        "a subset of ChestX-ray14: do not evaluate a model on one that was trained on the other",
    ),
)


def exams(raw: Path) -> Iterator[Exam]:
    """The films in the terms of the data set."""
    folder = root(raw, CARD)
    rows = grouped(read_table(folder / LABELS, ("patientId", "x", "y", "width", "height", "Target")), "patientId")
    normal, patients = _normal(folder / CLASSES), _patients(folder / MAPPING)
    # listed once: no look-up per film, and no patientId can lead out of the folder
    films = {path.stem: path for path in (folder / IMAGES).glob("*.dcm")}
    for image, boxes in rows.items():
        exam = _exam(image, films.get(image, folder), boxes, normal.get(image), patients.get(image, image))
        yield exam if image in films else replace(exam, fault=f"no film of this name in {IMAGES}")


def _exam(image: str, film: Path, rows: list[Row], normal: bool | None, patient: str) -> Exam:
    try:
        found, fault = [box for row in rows for box in _boxes(row)], ""
    except BadStudy as error:
        found, fault = [], str(error)
    values = {"pneumonia": float(bool(found)), "opacity": float(bool(found))}
    return Exam(
        study=image,
        patient=patient,
        modality="chest_xray",
        image=film,
        boxes=[(term, box) for box in found for term in ("opacity", "lesion")],
        # readers marked every opacity, or that there is none; what else is not normal they did not mark
        all_boxes=frozenset(("opacity", "lesion")) if normal else frozenset(("opacity",)),
        values=values if normal is None else {**values, "normal": float(normal)},
        fault=fault,
    )


def _boxes(row: Row) -> list[Box]:
    """The box of a row, if it has one.

    Raises:
        BadStudy: it says neither that there is one nor that there is none.
    """
    if row["Target"] == "0":
        return []
    try:
        x, y, width, height = (float(row[name]) for name in ("x", "y", "width", "height"))
    except ValueError:
        raise BadStudy("box not understood: expected numbers in x, y, width and height where Target is 1") from None
    if row["Target"] != "1":
        raise BadStudy("box not understood: expected a Target of 0 or 1")
    return [(x, y, x + width, y + height)]


def _normal(path: Path) -> dict[str, bool]:
    """{image: whether its class is Normal}; the file has a row per box, so images repeat."""
    if not path.is_file():
        return {}
    return {row["patientId"]: row["class"] == "Normal" for row in read_table(path, ("patientId", "class"))}


def _patients(path: Path) -> dict[str, str]:
    """{image: patient of ChestX-ray14}, whose image names are <patient>_<number>.png."""
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {entry["subset_img_id"]: entry["img_id"].split("_")[0] for entry in entries}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: expected a list of {{subset_img_id, img_id}}: {error!r}") from error
