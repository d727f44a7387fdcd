"""RSNA Pneumonia Detection Challenge (2018): chest films as DICOM, boxes around opacities."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from mtmed.data.exam import Box, Exam
from mtmed.data.raw import RawStudy
from mtmed.data.table import Row, grouped, read_table
from mtmed.datasets._base import Card, Need, Options, root, translated
from mtmed.errors import UserError
from mtmed.types import HeadSpec

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
    licence="terms of the challenge: academic and research use, non-commercial; cite, no redistribution",
    citation="Shih et al., Radiology: Artificial Intelligence 2019, doi 10.1148/ryai.2019180041",
    defects=(
        "without the mapping file a patient's films may fall on both sides of the split",
        "pneumonia was read off single films without clinical data: it means an opacity that looks like it",
        "a subset of ChestX-ray14: do not evaluate a model on one that was trained on the other",
    ),
)


def studies(raw: Path, options: Options, heads: Mapping[str, HeadSpec]) -> Iterator[RawStudy]:
    """The films that have labels, in the order of the labels' file.

    Raises:
        UserError: the folder is not as the card says.
    """
    return translated(exams(raw), CARD, options, heads)


def exams(raw: Path) -> Iterator[Exam]:
    """The films in the terms of the data set."""
    folder = root(raw, CARD)
    rows = grouped(read_table(folder / LABELS, ("patientId", "x", "y", "width", "height", "Target")), "patientId")
    normal, patients = _normal(folder / CLASSES), _patients(folder / MAPPING)
    for image, boxes in rows.items():
        yield _exam(folder, image, boxes, normal.get(image), patients.get(image, image))


def _exam(folder: Path, image: str, rows: list[Row], normal: bool | None, patient: str) -> Exam:
    found: list[tuple[str, Box]] = []
    fault = ""
    for row in rows:
        try:
            if row["Target"] == "1":
                found += [(term, _box(row)) for term in ("opacity", "lesion")]
        except ValueError:
            fault = "box not understood: expected numbers in x, y, width and height where Target is 1"
    values = {"pneumonia": float(bool(found)), "opacity": float(bool(found))}
    return Exam(
        study=image,
        patient=patient,
        modality="chest_xray",
        image=folder / IMAGES / f"{image}.dcm",
        boxes=found,
        all_boxes=frozenset(("opacity", "lesion")),  # readers marked every opacity, or that there is none
        values=values if normal is None else {**values, "normal": float(normal)},
        fault=fault,
    )


def _box(row: Row) -> Box:
    x, y, width, height = (float(row[name]) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


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
