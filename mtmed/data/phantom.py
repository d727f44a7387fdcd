"""A synthetic hospital, written as a real one would hand over: DICOM files, mask files and a manifest.

Every study has its own generator, seeded by (seed, patient, image): how the scanner stores a picture and
which labels the readers left do not change what is in it.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from mtmed.config import PhantomSpec
from mtmed.data import phantom_breast, phantom_chest, phantom_dicom
from mtmed.data.phantom_broken import spoil
from mtmed.types import Array

COLUMNS = [
    *("image", "lesion_mask", "label", "lesion_boxes", "boxes_complete"),
    *("patient_id", "modality", "view", "laterality"),
]


@dataclass(frozen=True)
class Exam:
    """What is known of an image before it is drawn."""

    name: str
    patient: str
    seeds: tuple[int, int, int]
    finding: str
    view: str
    laterality: str


def write(spec: PhantomSpec, folder: Path) -> None:
    """Write `images/*.dcm`, `masks/*.png` (where the site draws masks) and `manifest.csv` into `folder`.

    The same spec gives the same bytes. A label that is withheld is empty: not annotated, never negative.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    if spec.masks:
        (folder / "masks").mkdir(exist_ok=True)
    exams = [exam for patient in range(spec.patients + spec.broken) for exam in _exams(spec, patient)]
    rows = [_write_study(spec, exam, folder) for exam in exams]
    damaged = [row for row, exam in zip(rows, exams, strict=True) if exam.seeds[1] >= spec.patients]
    for number, row in enumerate(damaged):
        spoil(number, row, folder)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _exams(spec: PhantomSpec, patient: int) -> list[Exam]:
    """The images of one patient; patients beyond `spec.patients` have one image, which will be broken."""
    rng = np.random.default_rng([spec.seed, patient])
    mammogram = spec.modality == "mammography"
    finding = "normal"
    if rng.random() < spec.prevalence:
        finding = ("malignant" if rng.random() < 0.65 else "benign") if mammogram else "pneumonia"
    count = 1 if patient >= spec.patients else 1 + int(rng.random() < 0.3)
    laterality = str(rng.choice(["L", "R"]))
    views = [str(v) for v in rng.permutation(["CC", "MLO"] if mammogram else ["PA", "AP"])]
    identity = f"P{spec.seed:02d}-{patient:03d}"
    return [
        Exam(
            f"{identity}-{n}",
            identity,
            (spec.seed, patient, n),
            finding,
            views[n],
            laterality if mammogram else "",
        )
        for n in range(count)
    ]


def _write_study(spec: PhantomSpec, exam: Exam, folder: Path) -> dict[str, str]:
    image, masks = _draw(spec, exam)
    path = f"images/{exam.name}.dcm"
    tags = {"PatientID": exam.patient, "AccessionNumber": exam.name, "ViewPosition": exam.view}
    if exam.laterality:
        tags["ImageLaterality"] = exam.laterality
    phantom_dicom.write(folder / path, image, spec, tags)
    mask_path = f"masks/{exam.name}.png" if spec.masks else ""
    if mask_path:
        Image.fromarray(255 * np.any([*masks, np.zeros(image.shape, bool)], axis=0).astype(np.uint8)).save(
            folder / mask_path
        )
    boxes = [{"label": exam.finding, "xywh": _xywh(mask)} for mask in masks] if spec.boxes else []
    return {
        "image": path,
        "lesion_mask": mask_path,
        "label": exam.finding if spec.classes else "",
        "lesion_boxes": json.dumps(boxes),
        "boxes_complete": str(spec.boxes),
        "patient_id": exam.patient,
        "modality": spec.modality,
        "view": exam.view,
        "laterality": exam.laterality,
    }


def _draw(spec: PhantomSpec, exam: Exam) -> tuple[Array, list[Array]]:
    """Brightness [S,S] as the scanner sees it, and a mask per lesion."""
    rng = np.random.default_rng(exam.seeds)
    if spec.modality == "mammography":
        image, masks = phantom_breast.draw(rng, spec.size, exam.finding, exam.view, exam.laterality)
    else:
        image, masks = phantom_chest.draw(rng, spec.size, exam.finding)
    exposure = rng.uniform(0.6, 1.05) * np.clip(image, 0, 1.05) ** rng.uniform(0.8, 1.2)
    seen = gaussian_filter(exposure, spec.blur) if spec.blur else exposure
    return seen + spec.noise * rng.standard_normal(seen.shape), [mask for mask in masks if mask.any()]


def _xywh(mask: Array) -> list[float]:
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    return [float(x), float(y), float(columns.max() + 1 - x), float(rows.max() + 1 - y)]
