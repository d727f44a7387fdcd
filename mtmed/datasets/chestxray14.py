"""ChestX-ray14 of NIH (2017): chest films as PNG, 14 findings mined from reports, boxes around some."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from mtmed.data.exam import Box, Exam
from mtmed.data.quality import BadStudy
from mtmed.data.raw import RawStudy
from mtmed.data.table import Row, grouped, read_table
from mtmed.datasets import _base
from mtmed.datasets._base import Card, Need, root, translated
from mtmed.types import HeadSpec

TABLE, BOXES = "Data_Entry_2017*.csv", "BBox_List_2017.csv"
LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}
FOLDERS = ("images", "images_*", "images_*/images")
SIDE = 1024  # boxes are in pixels of a film of 1024 x 1024
ABSENT = "no film of this name in the folders of images"

BOXED = ("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax")
FINDINGS = (*BOXED, "consolidation", "edema", "emphysema", "fibrosis", "pleural_thickening", "hernia")
OPACITIES = frozenset(("pneumonia", "infiltration", "consolidation"))  # what RSNA Pneumonia calls an opacity
SYNONYMS = {"infiltrate": "infiltration"}  # the table of boxes against the table of films
ALL_BOXES = frozenset((*BOXED, "opacity", "lesion"))

CARD = Card(
    title="ChestX-ray14",
    modality="chest_xray",
    terms={
        "boxes": (*BOXED, "opacity", "lesion"),
        "values": (*FINDINGS, "no_finding", "opacity"),
    },
    needs=(
        Need(TABLE, "a row per film; of several the last, _v2020"),
        Need("images*/**/*.png", "the films, in images/ or in images_001/images/ to images_012/images/"),
        Need(BOXES, "a row per box", optional=True),
        Need("*_list.txt", "the official split: train_val_list.txt and test_list.txt", optional=True),
    ),
    columns=("age", "sex", "view", "follow_up"),
    patients="Patient ID, in 8 digits as in the films' names",
    page="https://nihcc.app.box.com/v/ChestXray-NIHCC",
    licence="unrestricted; link to the page, cite the paper and acknowledge the NIH Clinical Center",
    citation="Wang et al., CVPR 2017, doi 10.1109/CVPR.2017.369",
    defects=(
        "findings were mined from reports: of those labelled, a radiologist saw 10 to 30 % fewer on the films than the "
        "source says (Oakden-Rayner 2020, doi 10.1016/j.acra.2019.10.006)",
        "No Finding means none of the 14: there may be a fracture, a scoliosis or a catheter",
        "boxes are positives only, of 8 findings on 880 films, which are all in the official test list",
        "the official test list has sicker patients with more films each: it is no random part",
        "chest drains, put in to treat a pneumothorax, give it away; and the view AP gives the bedridden away",
        "copies of the table differ in the labels of some films; in older ones some ages are impossible, and others "
        "have lost their unit",
        "RSNA Pneumonia, SIIM-ACR and a part of COVID-QU-Ex are made of it: do not evaluate a model on one that was "
        "trained on the other",
    ),
    split="train_val_list.txt is for training (and has no validation of its own), test_list.txt for test; no patient "
    "is in both",
    tried="rows of both tables and three films",
)


class Options(_base.Options):
    """What a site may say of ChestX-ray14.

    Attributes:
        films: what of the table is wanted: `all` its films, those that are not there going to quarantine, or, where
            not all archives of images were unpacked, those that are `present`.
    """

    films: Literal["all", "present"] = "all"


@dataclass(frozen=True)
class _Source:
    """What is to be looked up for a row.

    Attributes:
        folders: {name of a film: the folder it lies in}.
        boxes: {name of a film: its rows of the table of boxes}; None: there is no such table.
        split: {name of a film: its official split}.
    """

    folders: Mapping[str, Path]
    boxes: Mapping[str, Sequence[Row]] | None
    split: Mapping[str, str]


def studies(raw: Path, options: Options, heads: Mapping[str, HeadSpec]) -> Iterator[RawStudy]:
    """The films of the table, in its order.

    Raises:
        UserError: the folder is not as the card says.
    """
    wanted = (exam for exam in exams(raw) if options.films == "all" or exam.fault != ABSENT)
    return translated(wanted, CARD, options, heads)


def exams(raw: Path) -> Iterator[Exam]:
    """The films in the terms of the data set."""
    folder = root(raw, CARD)
    source = _Source(_folders(folder), _boxes(folder / BOXES), _split(folder))
    seen: set[str] = set()
    for row in read_table(max(folder.glob(TABLE)), ("Image Index", "Finding Labels", "Patient ID")):
        image = row["Image Index"]
        try:
            if image in seen:
                raise BadStudy("film listed twice: expected one row per film")
            exam = _exam(row, source)
        except BadStudy as error:
            exam = Exam(study=image, patient="", modality=CARD.modality, image=folder, fault=str(error))
        seen.add(image)
        yield exam


def _exam(row: Row, source: _Source) -> Exam:
    """One film.

    Raises:
        BadStudy: its row or one of its boxes cannot be used, or there is no such film.
    """
    image = row["Image Index"]
    # looked up, so that no name in a table can lead out of the folders
    if image not in source.folders:
        raise BadStudy(ABSENT)
    film = source.folders[image] / image
    boxes = _drawn((source.boxes or {}).get(image, ()), film)
    found = _findings(row["Finding Labels"]) | {term for term, _ in boxes}
    return Exam(
        study=image,
        patient=_patient(row),
        modality=CARD.modality,
        image=film,
        boxes=[(name, box) for term, box in boxes for name in _names(term)],
        # boxes are of some findings on some films: never all there are, unless there is nothing to draw, which is as
        # sure as the report and its mining; and without the table of boxes that would be all a head could learn
        all_boxes=ALL_BOXES if source.boxes is not None and not found else frozenset(),
        values=_values(found),
        extent_mm=_extent(row),
        view=row.get("View Position", ""),
        split=source.split.get(image, ""),
        attributes={
            "age": row.get("Patient Age", ""),
            "sex": row.get("Patient Gender", ""),
            "view": row.get("View Position", ""),
            "follow_up": row.get("Follow-up #", ""),
        },
    )


def _patient(row: Row) -> str:
    """The patient as RSNA Pneumonia has it too, so that both sites put a patient into the same fold.

    Raises:
        BadStudy: the film's name is another patient's.
    """
    patient = row["Patient ID"].zfill(8)
    if not row["Image Index"].startswith(f"{patient}_"):
        raise BadStudy("patient not understood: expected a Patient ID that, in 8 digits, begins the name of the film")
    return patient


def _findings(cell: str) -> set[str]:
    """The terms that a cell lists.

    Raises:
        BadStudy: it lists something else.
    """
    names = set(cell.lower().split("|"))
    if names == {"no finding"}:
        return set()
    if not names.issubset(FINDINGS):
        raise BadStudy("findings not understood: expected No Finding, or some of the 14 with | between them")
    return names


def _values(found: set[str]) -> dict[str, float]:
    """Every report was searched for all of the 14, so that what is not listed is absent, as the source has it."""
    values = {term: float(term in found) for term in FINDINGS}
    values["no_finding"] = float(not found)
    # an effusion or a mass is not called an opacity, but may hide one: unknown
    if not found or found & OPACITIES:
        values["opacity"] = float(bool(found))
    return values


def _drawn(rows: Sequence[Row], film: Path) -> list[tuple[str, Box]]:
    """The boxes of a film, in its own pixels.

    Raises:
        BadStudy: one is not understood, or the film's size cannot be read.
    """
    if not rows:
        return []
    width, height = _size(film)
    return [(_term(row), _box(row, width / SIDE, height / SIDE)) for row in rows]


def _term(row: Row) -> str:
    name = row["Finding Label"].lower()
    term = SYNONYMS.get(name, name)
    if term not in BOXED:
        raise BadStudy("box not understood: expected one of the 8 findings that have boxes")
    return term


def _extent(row: Row) -> tuple[float, float] | None:
    """Millimetres (height, width) of the film; the brackets of these columns' names are split by their commas."""
    pixels = (row.get("Height]", ""), row.get("OriginalImage[Width", ""))
    spacing = (row.get("y]", ""), row.get("OriginalImagePixelSpacing[x", ""))
    try:
        height, width = (float(n) * float(mm) for n, mm in zip(pixels, spacing, strict=True))
    except ValueError:  # not stated
        return None
    return (height, width) if min(height, width) > 0 else None


def _names(term: str) -> tuple[str, ...]:
    return (term, "lesion", "opacity") if term in OPACITIES else (term, "lesion")


def _box(row: Row, across: float, down: float) -> Box:
    try:
        # the header's brackets are cut by its commas
        x, y, width, height = (float(row[name]) for name in ("Bbox [x", "y", "w", "h]"))
    except ValueError:
        raise BadStudy("box not understood: expected four numbers") from None
    return x * across, y * down, (x + width) * across, (y + height) * down


def _size(film: Path) -> tuple[int, int]:
    """Width and height of a film by its header; there are copies of the data set in smaller pixels."""
    try:
        with Image.open(film) as picture:
            return picture.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadStudy(f"unreadable {film.suffix}: expected a picture, whose size its boxes need") from error


def _folders(folder: Path) -> dict[str, Path]:
    """{name of a film: its folder}; each folder is listed once, for there are 112,120 films."""
    found = (f for pattern in FOLDERS for f in sorted(folder.glob(pattern)) if f.is_dir())
    return {path.name: images for images in found for path in images.iterdir()}


def _boxes(path: Path) -> dict[str, list[Row]] | None:
    if not path.is_file():
        return None
    return grouped(read_table(path, ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")), "Image Index")


def _split(folder: Path) -> dict[str, str]:
    """{name of a film: train or test}, as far as the lists are there."""
    lists = [(folder / name, split) for name, split in LISTS.items() if (folder / name).is_file()]
    return {image: split for path, split in lists for image in path.read_text(encoding="utf-8").split()}
