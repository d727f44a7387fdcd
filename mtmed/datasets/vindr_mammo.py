"""VinDr-Mammo (2022): digital mammograms as DICOM, boxes around findings that are not benign."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mtmed.data.exam import Box, Exam
from mtmed.data.quality import BadStudy
from mtmed.data.table import Row, grouped, read_table
from mtmed.datasets._base import Card, Need, root

FINDINGS, METADATA, IMAGES = "finding_annotations.csv", "metadata.csv", "images"
COLUMNS = (
    *("study_id", "image_id", "laterality", "view_position", "height", "width", "breast_birads", "breast_density"),
    *("finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax", "split"),
)
SCANNER = {"manufacturer": "Manufacturer", "model": "Manufacturer's Model Name", "age": "Patient's Age"}

NOTHING = "No Finding"
CATEGORIES = {
    "Mass": "mass",
    "Suspicious Calcification": "calcification",
    "Architectural Distortion": "distortion",
    "Asymmetry": "asymmetry",
    "Focal Asymmetry": "asymmetry",
    "Global Asymmetry": "asymmetry",
    "Skin Thickening": "skin_thickening",
    "Skin Retraction": "skin_retraction",
    "Nipple Retraction": "nipple_retraction",
    "Suspicious Lymph Node": "lymph_node",
}
MARKED = ("lesion", *dict.fromkeys(CATEGORIES.values()))
SUSPICIOUS = {"BI-RADS 1": 0.0, "BI-RADS 2": 0.0, "BI-RADS 4": 1.0, "BI-RADS 5": 1.0}  # 3: neither
DENSITY = {"DENSITY A": 1.0, "DENSITY B": 2.0, "DENSITY C": 3.0, "DENSITY D": 4.0}
SPLITS = {"training": "train", "test": "test"}

ID = re.compile(r"[\w-]+")  # what becomes part of a path: no dots and no separators
QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")

CARD = Card(
    title="VinDr-Mammo",
    modality="mammography",
    terms={"boxes": (*MARKED, "suspicious"), "values": ("suspicious", *MARKED, "dense"), "measurements": ("density",)},
    needs=(
        Need(FINDINGS, "a row per finding, or per image without one"),
        Need(f"{IMAGES}/*/*.dicom", "the images, <study_id>/<image_id>.dicom"),
        Need(METADATA, "scanner and age, by which sites may be made", optional=True),
    ),
    columns=("assessment", "density", "manufacturer", "model", "age"),
    patients="study_id: four images each; whether two studies are of one woman is not published",
    split="4,000 studies for training and 1,000 for test, drawn by the source so that both have the same findings",
    page="https://physionet.org/content/vindr-mammo/1.0.0/",
    licence="PhysioNet Restricted Health Data License 1.5.0: sign the agreement there; no redistribution",
    citation="Nguyen et al., Scientific Data 2023, 10:277, doi 10.1038/s41597-023-02100-7; "
    "data: doi 10.13026/br2v-7517",
    defects=(
        "no pathology: suspicious is BI-RADS 4 and 5 against 1 and 2; 3 is unknown, and nothing is called malignant",
        "benign findings have no box: only in breasts of BI-RADS 1 is a finding known to be absent",
        "the assessment is of the breast: an image in which the lesion cannot be seen has it too",
        "boxes that leave their image, cut here",
        "no masks",
    ),
)


class Finding(NamedTuple):
    """What was found, 1 or 0 if it is suspicious, and where; None: it is not said."""

    terms: tuple[str, ...]
    suspicious: float | None
    box: Box | None


def exams(raw: Path) -> Iterator[Exam]:
    """The images in the terms of the data set."""
    folder = root(raw, CARD)
    scanners = _scanners(folder / METADATA)
    for image, rows in grouped(read_table(folder / FINDINGS, COLUMNS), "image_id").items():
        exam = _described(folder / IMAGES, image, rows[0], scanners.get(image, {}))
        try:
            _expect_ids(rows)
            findings = [finding for row in rows for finding in _findings(row)]
            yield replace(exam, **_targets(findings, rows[0]))
        except BadStudy as error:
            yield replace(exam, fault=str(error))


def _scanners(path: Path) -> dict[str, dict[str, str]]:
    """{image: what is known of its scanner and of the woman's age}, from the headers that the source collected."""
    if not path.is_file():
        return {}
    table = read_table(path, ("SOP Instance UID",))
    known = {name: column for name, column in SCANNER.items() if column in table.columns}
    return {row["SOP Instance UID"]: {name: row[column] for name, column in known.items()} for row in table}


def _described(images: Path, image: str, row: Row, scanner: Mapping[str, str]) -> Exam:
    """An image without what is to be found in it."""
    safe = ID.fullmatch(image) and ID.fullmatch(row["study_id"])
    return Exam(
        study=image,
        patient=row["study_id"],
        modality="mammography",
        image=images / row["study_id"] / f"{image}.dicom" if safe else images,
        view=row["view_position"],
        laterality=row["laterality"],
        split=SPLITS.get(row["split"], ""),
        attributes={"assessment": row["breast_birads"], "density": row["breast_density"], **scanner},
    )


def _expect_ids(rows: list[Row]) -> None:
    if not all(ID.fullmatch(row[column]) for row in rows for column in ("study_id", "image_id")):
        raise BadStudy("ids not understood: expected letters and digits in study_id and image_id")
    if len({row["study_id"] for row in rows}) > 1:
        raise BadStudy("an image of several studies: expected one study_id, so that the patient is known")


def _findings(row: Row) -> list[Finding]:
    """The finding of a row, or none."""
    text = row["finding_categories"]
    categories = [single or double for single, double in QUOTED.findall(text)]
    if not categories or not all(name == NOTHING or name in CATEGORIES for name in categories):
        raise BadStudy(f"finding_categories not understood: expected a list of {NOTHING}, {', '.join(CATEGORIES)}")
    terms = tuple(dict.fromkeys(CATEGORIES[name] for name in categories if name != NOTHING))
    return [Finding(("lesion", *terms), SUSPICIOUS.get(row["finding_birads"]), _box(row))] if terms else []


def _box(row: Row) -> Box | None:
    """The box of a row, cut at its image's edge; None: the finding was not located."""
    cells = [row[name] for name in ("xmin", "ymin", "xmax", "ymax")]
    if not any(cells):
        return None
    try:
        x1, y1, x2, y2, width, height = (float(cell) for cell in (*cells, row["width"], row["height"]))
    except ValueError:
        raise BadStudy("box not understood: expected numbers in xmin, ymin, xmax, ymax, width and height") from None
    box = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
    if not all(math.isfinite(v) for v in (x1, y1, x2, y2)) or box[0] >= box[2] or box[1] >= box[3]:
        raise BadStudy(f"box outside the image: expected one within {width:.0f} x {height:.0f} pixels")
    return box


def _targets(findings: list[Finding], row: Row) -> dict[str, Any]:
    """What is known of an image, as fields of an `Exam`."""
    found = {term for finding in findings for term in finding.terms}
    # what is benign was not marked: nothing is absent unless the breast is negative
    absent = set(MARKED) if row["breast_birads"] == "BI-RADS 1" and not findings else set()
    boxes = [(term, x.box) for x in findings if x.box for term in x.terms]
    suspicious = [("suspicious", x.box) for x in findings if x.box and x.suspicious]
    # what is not benign was marked everywhere; what is probably benign, or not located, may or may not be meant
    settled = all(x.suspicious is not None and x.box for x in findings)
    return {
        "boxes": boxes + suspicious,
        "all_boxes": frozenset(absent | ({"suspicious"} if settled else set())),
        "values": {**dict.fromkeys(sorted(found), 1.0), **dict.fromkeys(sorted(absent), 0.0), **_graded(row)},
        "measurements": {"density": DENSITY[row["breast_density"]]} if row["breast_density"] in DENSITY else {},
    }


def _graded(row: Row) -> dict[str, float]:
    values = {}
    if row["breast_birads"] in SUSPICIOUS:
        values["suspicious"] = SUSPICIOUS[row["breast_birads"]]
    if row["breast_density"] in DENSITY:
        values["dense"] = float(DENSITY[row["breast_density"]] >= 3)
    return values
