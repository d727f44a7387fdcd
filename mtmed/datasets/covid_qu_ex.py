"""COVID-QU-Ex (2021): chest films as PNG, masks of the lungs, and of what COVID-19 did to them."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from mtmed.data import pixels
from mtmed.data.exam import Exam, TermLoader
from mtmed.data.quality import check_mask
from mtmed.datasets._base import Card, Need, root
from mtmed.types import Array

SPLITS = {"Train": "train", "Val": "validation", "Test": "test"}
CLASSES = ("COVID-19", "Non-COVID", "Normal")
LUNG, INFECTION = "lung masks", "infection masks"

# a film of BIMCV COVID-19+: sub-<patient>_ses-<visit>_run-1_bp-chest_vp-ap_dx
PATIENT, VIEW = re.compile(r"(sub-[^_]+)_ses-"), re.compile(r"_vp-(ap|pa)(?:_|$)")

CARD = Card(
    title="COVID-QU-Ex",
    modality="chest_xray",
    terms={"masks": ("lung", "opacity", "lesion"), "values": ("covid", "pneumonia", "normal")},
    needs=(
        Need("*Segmentation Data/**/images/*.png", "films, in <part> Segmentation Data/{Train,Val,Test}/<class>"),
        Need(f"*Segmentation Data/**/{LUNG}/*.png", "lungs, a mask per film", optional=True),
        Need(f"*Segmentation Data/**/{INFECTION}/*.png", "infected lung, a mask per film with COVID-19", optional=True),
    ),
    columns=("class",),
    patients="unknown, a film stands for its patient; but films of BIMCV are named by theirs",
    page="https://www.kaggle.com/datasets/anasmohammedtahir/covidqu",
    licence="CC BY-SA 4.0, of a collection whose films come from sources with licences of their own",
    citation="Tahir et al., Computers in Biology and Medicine 2021, doi 10.1016/j.compbiomed.2021.105002; "
    "data doi 10.34740/kaggle/dsv/3122958",
    defects=(
        "a patient's films may fall on both sides of the split: the source does not say whose they are",
        "collected from other public sets, RSNA Pneumonia and Kermany among them: do not evaluate a model on one that "
        "was trained on the other; thousands of films are nearly the same as another, under another name",
        "each class comes from other hospitals, so that the source of a film gives its class away: the children "
        "among them, for one, have no COVID-19",
        "COVID-19 was found by a test of the patient: some of these films show no pneumonia",
        "lung masks were drawn by a network and corrected",
        "all films are 256 x 256 pixels",
    ),
    split="the folders Train, Val and Test; where a film is in both parts, those of the lung part",
)


@dataclass(frozen=True)
class _Film:
    """A film in one of the two parts.

    Attributes:
        image: its file, .../<split>/<class>/images/<name>.png.
        masks: {folder of masks: the file in it of the film's name}, as far as there is one.
    """

    image: Path
    split: str
    group: str
    masks: Mapping[str, Path]


def exams(raw: Path) -> Iterator[Exam]:
    """The films in the terms of the data set; one that is in both parts once, with the masks of both."""
    folder = root(raw, CARD)
    infected: dict[tuple[str, str], list[_Film]] = defaultdict(list)
    for film in _films(_part(folder, "Infection")):
        infected[film.group, film.image.name].append(film)
    for film in _films(_part(folder, "Lung")):
        namesakes = infected.get((film.group, film.image.name), [])
        twin = next((other for other in namesakes if _copies(film, other)), None)
        if twin:
            namesakes.remove(twin)
            film = replace(film, masks={**twin.masks, **film.masks})
        yield _exam(folder, film)
    for film in chain(*infected.values()):
        yield _exam(folder, film)


def _part(folder: Path, name: str) -> Path:
    """Where Train, Val and Test of a part are: its folder, or the one of the same name inside."""
    part = folder / f"{name} Segmentation Data"
    return next((f for f in (part, part / part.name) if any((f / split).is_dir() for split in SPLITS)), part)


def _films(part: Path) -> Iterator[_Film]:
    for split in SPLITS:
        for group in CLASSES:
            folder = part / split / group
            drawn = {kind: _names(folder / kind) for kind in (LUNG, INFECTION)}
            for name in sorted(_names(folder / "images")):
                masks = {kind: folder / kind / name for kind, names in drawn.items() if name in names}
                yield _Film(folder / "images" / name, SPLITS[split], group, masks)


def _names(folder: Path) -> set[str]:
    """The names of the pictures in a folder, which is listed once; none where there is no folder."""
    if not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if path.suffix == ".png" and not path.name.startswith(".")}


def _copies(a: _Film, b: _Film) -> bool:
    # by name and length in bytes: a namesake of another length may be another film, whose masks are not this one's
    return a.image.stat().st_size == b.image.stat().st_size


def _exam(folder: Path, film: _Film) -> Exam:
    patient, view = PATIENT.match(film.image.stem), VIEW.search(film.image.stem)
    return Exam(
        study=film.image.relative_to(folder).as_posix(),
        # the class belongs to it: the classes number their films alike; the part does not: it may hold the same one
        patient=patient[1] if patient else f"{film.group}/{film.image.stem}",
        modality=CARD.modality,
        image=film.image,
        masks=_masks(film),
        values={
            "covid": float(film.group == "COVID-19"),
            # that of COVID-19, as the paper calls it, or in Non-COVID by other viruses or bacteria
            "pneumonia": float(film.group != "Normal"),
            "normal": float(film.group == "Normal"),
        },
        view=view[1].upper() if view else "",
        split=film.split,
        attributes={"class": film.group},
    )


def _masks(film: _Film) -> dict[str, TermLoader]:
    masks: dict[str, TermLoader] = {}
    if LUNG in film.masks:
        masks["lung"] = partial(_drawn, film.masks[LUNG])
    if film.group == "Normal":
        masks["opacity"] = masks["lesion"] = partial(np.zeros, dtype=bool)
    elif film.group == "COVID-19" and INFECTION in film.masks:
        masks["opacity"] = masks["lesion"] = partial(_drawn, film.masks[INFECTION])
    # Non-COVID: its infection masks are blank because there is no COVID-19, over opacities that nobody drew
    return masks


def _drawn(path: Path, shape: tuple[int, int]) -> Array:
    """The mask [H,W] bool of a file.

    Raises:
        BadStudy: no mask, or of another size than the film.
    """
    stored = pixels.read_mask(path)
    check_mask(stored, np.empty(shape))
    # 0 and 255; a mask that was resized is grey at its edges, and is cut halfway
    return stored * 2 > stored.max()
