"""A hospital's files: DICOM, masks and a manifest, for any modality.

Every study has its own generator, seeded by (seed, patient, image): how the scanner stores a picture and
which labels the readers left do not change what is in it.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from mtmed.errors import unknown
from mtmed.phantoms import _dicom
from mtmed.phantoms._broken import spoil
from mtmed.phantoms._exam import Drawing, Exam, Lesion, Modality
from mtmed.registry import find
from mtmed.specs import PhantomSpec
from mtmed.types import Array

MARK = "SYNTHETIC.txt"
SAID = "Nobody's images: drawn by mtmed.phantoms. Do not put real ones here: they may be deleted.\n"
COLUMNS = (
    *("image", "lesion_mask", "label", "lesion_boxes", "boxes_complete", "lung_mask", "diameter_mm"),
    *("patient_id", "modality", "view", "laterality", "device"),
)


def write(spec: PhantomSpec, folder: Path) -> None:
    """Write `images/*.dcm`, `masks/*.png` (where the site draws masks) and `manifest.csv` into `folder`.

    The same spec gives the same bytes. A label that is withheld is empty: not annotated, never negative.

    Raises:
        UserError: nobody draws the spec's modality, or it has no such device.
    """
    modality = _modality(spec)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(SAID)
    rows = []
    for patient in range(spec.patients + spec.broken):
        rows += [_write_study(spec, modality, *study, folder) for study in examine(spec, patient)]
        if patient >= spec.patients:
            spoil(patient - spec.patients, rows[-1], folder)
    masks = [f"{name}_mask" for name in modality.structures]
    with (folder / "manifest.csv").open("w", newline="") as file:
        columns = list(dict.fromkeys([*COLUMNS, *masks, *modality.columns]))
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def is_synthetic(folder: Path) -> bool:
    """Whether `write` filled the folder."""
    return (folder / MARK).is_file()


def examine(spec: PhantomSpec, patient: int) -> Iterator[tuple[Exam, Drawing]]:
    """The images of one patient of a hospital, as its scanner sees them.

    Raises:
        UserError: as for `write`.
    """
    modality = _modality(spec)
    for exam in _exams(spec, modality, patient):
        yield exam, _seen(spec, modality, exam)


def _modality(spec: PhantomSpec) -> Modality:
    modality: Modality = find("mtmed.phantoms", spec.modality, "phantom").PHANTOM
    if spec.device and spec.device not in modality.devices:
        raise unknown(f"device of {spec.modality}", spec.device, modality.devices)
    return modality


def _exams(spec: PhantomSpec, modality: Modality, patient: int) -> list[Exam]:
    """The images of one patient; patients beyond `spec.patients` have one image, which will be broken."""
    rng = np.random.default_rng([spec.seed, patient])
    finding = "normal"
    if rng.random() < spec.prevalence:
        odds = np.array(list(modality.findings.values()))
        finding = str(rng.choice(list(modality.findings), p=odds / odds.sum()))
    count = 1 if patient >= spec.patients else 1 + int(rng.random() < 0.3)
    laterality = str(rng.choice(["L", "R"])) if modality.lateral else ""
    views = [str(v) for v in rng.permutation(modality.views)]
    device = str(rng.choice(modality.devices))
    attributes = modality.patient(rng, finding)
    identity = f"P{spec.seed:02d}-{patient:03d}"
    return [
        Exam(
            name=f"{identity}-{n}",
            patient=identity,
            seeds=(spec.seed, patient, n),
            finding=finding,
            view=views[n],
            laterality=laterality,
            device=spec.device or device,
            contrast=spec.contrast,
            attributes=attributes,
        )
        for n in range(min(count, len(views)))
    ]


def _write_study(spec: PhantomSpec, modality: Modality, exam: Exam, drawing: Drawing, folder: Path) -> dict[str, str]:
    spacing = round(drawing.side_mm / spec.size, 4)
    path = f"images/{exam.name}.dcm"
    _dicom.write(folder / path, drawing.image, spacing, spec, exam, modality)
    boxes = [{"label": lesion.label, "xywh": _xywh(lesion.mask)} for lesion in drawing.lesions] if spec.boxes else []
    return {
        "image": path,
        **_write_masks(spec, exam, drawing, folder),
        "label": exam.finding if spec.classes else "",
        "lesion_boxes": json.dumps(boxes),
        "boxes_complete": str(spec.boxes),
        "diameter_mm": diameter(drawing.lesions, spacing) if spec.diameters else "",
        "patient_id": exam.patient,
        "modality": spec.modality,
        "view": exam.view,
        "laterality": exam.laterality,
        "device": exam.device,
        **exam.attributes,
    }


def _seen(spec: PhantomSpec, modality: Modality, exam: Exam) -> Drawing:
    """The drawing as the scanner of `spec` sees it: exposed, blurred, with noise."""
    rng = np.random.default_rng(exam.seeds)
    drawing = modality.draw(rng, exam, spec.size)
    exposure = rng.uniform(0.6, 1.05) * np.clip(drawing.image, 0, 1.05) ** rng.uniform(0.8, 1.2)
    seen = gaussian_filter(exposure, spec.blur) if spec.blur else exposure
    noisy = seen + spec.noise * rng.standard_normal(seen.shape, np.float32)
    return Drawing(noisy, drawing.side_mm, drawing.lesions, drawing.masks)


def _write_masks(spec: PhantomSpec, exam: Exam, drawing: Drawing, folder: Path) -> dict[str, str]:
    """The mask files that the site's readers drew; {column: path}, of those not drawn no entry."""
    empty = np.zeros(drawing.image.shape, bool)
    drawn = {"lesion": np.any([empty, *(lesion.mask for lesion in drawing.lesions)], axis=0)} if spec.masks else {}
    drawn |= {name: mask for name, mask in drawing.masks.items() if (spec.lungs if name == "lung" else spec.masks)}
    paths = {}
    for name, mask in drawn.items():
        where = folder / ("masks" if name == "lesion" else f"{name}_masks")
        where.mkdir(exist_ok=True)
        Image.fromarray(255 * mask.astype(np.uint8)).save(where / f"{exam.name}.png")
        paths[f"{name}_mask"] = f"{where.name}/{exam.name}.png"
    return paths


def diameter(lesions: Sequence[Lesion], spacing: float) -> str:
    """The longest diameter in mm of the lesion that is longest, to a tenth; empty where none is measured."""
    found = [_longest(lesion.mask) * spacing for lesion in lesions if lesion.measured]
    return f"{max(found):.1f}" if found else ""


def _longest(mask: Array) -> float:
    """The longest diameter of a mask [H,W] bool in pixels, from edge to edge."""
    rows, columns = np.nonzero(mask)
    corners = np.concatenate([np.stack([rows + dy, columns + dx], 1) for dy in (0, 1) for dx in (0, 1)])
    return float(pdist(corners[ConvexHull(corners).vertices]).max())


def _xywh(mask: Array) -> list[float]:
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    return [float(x), float(y), float(columns.max() + 1 - x), float(rows.max() + 1 - y)]
