"""Kermany et al. (2018): chest films of children as JPEG, pneumonia by its cause or normal."""

import re
from collections.abc import Iterator
from pathlib import Path

from mtmed.data.exam import Exam
from mtmed.datasets._base import Card, Need, root

SPLITS = {"train": "train", "val": "validation", "test": "test"}
CLASSES = ("NORMAL", "PNEUMONIA")
SUFFIXES = (".jpeg", ".jpg")

# person1_virus_6, IM-0001-0001, NORMAL2-IM-0001-0001(-0002); version 3 of the source: BACTERIA-1008087-0001
NAMES = (
    re.compile(r"(?P<kind>person)(?P<number>\d+)_(?P<cause>bacteria|virus)_\d+"),
    re.compile(r"(?:NORMAL2-)?(?P<kind>IM)-(?P<number>\d+)(?:-\d+)+"),
    re.compile(r"(?P<cause>BACTERIA|VIRUS|NORMAL)-(?P<number>\d+)-\d+"),
)

CARD = Card(
    title="Kermany chest X-ray",
    modality="chest_xray",
    terms={"values": ("pneumonia", "normal", "bacterial_pneumonia", "viral_pneumonia")},
    needs=(
        Need("train/NORMAL/*.jp*g", "films without pneumonia"),
        Need("train/PNEUMONIA/*.jp*g", "films with pneumonia"),
        Need("test/*/*.jp*g", "the official test films", optional=True),
        Need("val/*/*.jp*g", "16 films, in Kaggle's copy only", optional=True),
    ),
    patients="the number in the file name: person<number> or IM-<number>, whatever the cause, the series or the folder",
    page="https://data.mendeley.com/datasets/rscbjbr9sj",
    download=(
        "https://data.mendeley.com/public-files/datasets/rscbjbr9sj/files/f12eaf6d-6023-432f-acc9-80c9d7393433/file_downloaded",
    ),
    licence="CC BY 4.0",
    citation="Kermany et al., Cell 2018, doi 10.1016/j.cell.2018.02.010; data doi 10.17632/rscbjbr9sj.2",
    defects=(
        "children of one to five years, of one hospital: nothing follows for adults",
        "numbers of persons recur in train and test, and under bacteria and virus, perhaps of other children: they are "
        "one group here, whose films for training go to quarantine with the official split",
        "a few films are there twice, under other numbers",
        "normal films have more pixels than those of pneumonia, which gives them away",
        "validation, where there is one, has 16 films",
    ),
    split="the folders train, val and test",
)


def exams(raw: Path) -> Iterator[Exam]:
    """The films in the terms of the data set."""
    # only these folders: Kaggle's archive holds all of them once more in chest_xray, and Mac's leftovers in __MACOSX
    folder = root(raw, CARD)
    for split in SPLITS:
        for group in CLASSES:
            for film in _films(folder / split / group):
                yield _exam(film, split, group)


def _films(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _exam(film: Path, split: str, group: str) -> Exam:
    name = next((match for pattern in NAMES if (match := pattern.fullmatch(film.stem))), None)
    parts = name.groupdict() if name else {}
    return Exam(
        study=f"{split}/{group}/{film.name}",
        patient=f"{parts.get('kind', 'patient')}{parts['number']}" if name else "",
        modality=CARD.modality,
        image=film,
        # nobody drew anything: of masks and boxes, that normal films have none would be all there is to learn
        values=_values(group, (parts.get("cause") or "").lower()),
        view="AP",  # all films, says the source
        split=SPLITS[split],
        fault="" if name else "file name not understood: expected person<number>_..., IM-<number>-... and the like",
    )


def _values(group: str, cause: str) -> dict[str, float]:
    """Which of the two causes pneumonia has is known where the name says so, or where there is no pneumonia."""
    sick = group == "PNEUMONIA"
    values = {"pneumonia": float(sick), "normal": float(not sick)}
    if sick and cause not in ("bacteria", "virus"):
        return values
    return {
        **values,
        "bacterial_pneumonia": float(sick and cause == "bacteria"),
        "viral_pneumonia": float(sick and cause == "virus"),
    }
