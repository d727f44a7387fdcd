"""SIIM-ACR Pneumothorax Segmentation (2019): chest films as DICOM, pneumothorax drawn as run lengths."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mtmed.data.exam import Exam, TermLoader
from mtmed.data.quality import BadStudy, check_mask
from mtmed.data.table import grouped, read_table
from mtmed.datasets._base import Card, Need, root
from mtmed.types import Array

LABELS = "train-rle.csv"
FOUND = ("pneumothorax", "lesion")
SIDE = 1024  # run lengths count the pixels of a film of 1024 x 1024

CARD = Card(
    title="SIIM-ACR Pneumothorax",
    modality="chest_xray",
    terms={"masks": FOUND, "boxes": FOUND, "values": ("pneumothorax",)},
    needs=(
        Need(LABELS, "a row per drawing: ImageId, and run lengths or -1"),
        Need("**/*.dcm", "the films, as dicom-images-train/<study>/<series>/<ImageId>.dcm or nearer"),
    ),
    patients="unknown: an ImageId is one film, and stands for its patient",
    page="https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation",
    licence="rules of the competition, to be accepted at its page; NIH's terms for the films: acknowledge and cite",
    citation="Filice et al., Journal of Digital Imaging 2020, doi 10.1007/s10278-019-00299-9",
    defects=(
        "a patient's films may fall on both sides of the split: the source does not say whose they are",
        "made of ChestX-ray14: do not evaluate a model on one that was trained on the other",
        "some films in the folders have no row: they are not labelled, and left out",
        "pneumothorax alone was drawn: other abnormalities of the same films were not",
        "chest drains, put in to treat a pneumothorax, give it away",
    ),
)


def exams(raw: Path) -> Iterator[Exam]:
    """The films in the terms of the data set."""
    folder = root(raw, CARD)
    # listed once: no look-up per film, and no ImageId can lead out of the folder
    films = {path.stem: path for path in sorted(folder.rglob("*.dcm"))}
    for image, rows in grouped(read_table(folder / LABELS, ("ImageId", "EncodedPixels")), "ImageId").items():
        film = films.get(image)
        exam = partial(Exam, study=image, patient=image, modality=CARD.modality, image=film or folder)
        try:
            drawings = [runs for row in rows if len(runs := _runs(row["EncodedPixels"]))]
        except BadStudy as error:
            yield exam(fault=str(error))
            continue
        yield exam(
            masks=_masks(drawings),
            boxes=[(term, one) for one in (partial(_drawn, (runs,)) for runs in drawings) for term in FOUND],
            all_boxes=frozenset({"pneumothorax"}),
            values={"pneumothorax": float(bool(drawings))},
            fault="" if film else "no film of this name in the folder",
        )


def _masks(drawings: Sequence[Array]) -> dict[str, TermLoader]:
    """What is drawn, and where nothing is: that there is no pneumothorax, not that there is no other lesion."""
    drawn = partial(_drawn, drawings)
    return dict.fromkeys(FOUND if drawings else FOUND[:1], drawn)


def _runs(cell: str) -> Array:
    """[R,2] int64: first pixel of each run and the one after its last, counted down the columns; none for -1.

    Raises:
        BadStudy: no pairs of numbers, or a run that leaves the image.
    """
    if cell == "-1":
        return np.zeros((0, 2), np.int64)
    numbers = _numbers(cell.split())
    if not numbers or len(numbers) % 2 or min(numbers) < 0 or 0 in numbers[1::2]:
        raise BadStudy("run lengths not understood: expected pairs of start and length, or -1 for none")
    if sum(numbers) > SIDE**2:
        raise BadStudy(f"run lengths leave the image: expected at most {SIDE**2} pixels in all, got {sum(numbers)}")
    # a start is counted from the end of the run before, so that all numbers add up
    return np.cumsum(numbers, dtype=np.int64).reshape(-1, 2)


def _numbers(words: Sequence[str]) -> list[int]:
    try:
        return [int(word) for word in words]
    except ValueError:
        return []


def _drawn(drawings: Sequence[Array], shape: tuple[int, int]) -> Array:
    """The mask [H,W] bool of the runs of some drawings.

    Raises:
        BadStudy: something is drawn, and the film is not of the size that run lengths count in.
    """
    if not drawings:
        return np.zeros(shape, bool)
    pixels = np.zeros(SIDE**2, bool)
    for start, stop in np.concatenate(drawings):
        pixels[start:stop] = True
    mask = pixels.reshape(SIDE, SIDE, order="F")
    # not resized: on a film of another size nobody can tell whether it was scaled, cut or padded
    check_mask(mask, np.empty(shape))
    return mask
