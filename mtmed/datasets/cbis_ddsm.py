"""CBIS-DDSM (2017): digitised mammograms as DICOM, a mask and the pathology of every lesion."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mtmed.data import pixels
from mtmed.data.annotation import resized
from mtmed.data.exam import Exam
from mtmed.data.quality import BadStudy
from mtmed.data.table import Row, Table, read_table
from mtmed.datasets._base import Card, Need, root
from mtmed.errors import UserError
from mtmed.types import Array

# {table: (what its lesions are, the official split)}
TABLES = {
    f"{kind}_case_description_{split}_set.csv": (term, split)
    for kind, term in (("mass", "mass"), ("calc", "calcification"))
    for split in ("train", "test")
}
# {ours: how the tables of 2017, of masks and of calcifications, and an older release spell it}
COLUMNS = {
    "patient": ("patient_id",),
    "side": ("left or right breast", "side"),
    "view": ("image view", "view"),
    "density": ("breast_density", "breast density"),
    "assessment": ("assessment",),
    "pathology": ("pathology",),
    "subtlety": ("subtlety",),
    "image": ("image file path", "od_img_path"),
    "crop": ("cropped image file path", "od_crop_path"),
    "mask": ("ROI mask file path", "mask_path"),
}
SHAPE = ("mass shape", "mass_shape")  # of masses only

CASE = re.compile(r"(Mass|Calc)-(Training|Test)_P_\d+_(LEFT|RIGHT)_(CC|MLO)(_\d+)?")
DEEPEST = 4  # folders between the raw folder and those of the cases: manifest-.../CBIS-DDSM and the like
IMAGES = (".dcm", ".png")

PATHOLOGY = {"MALIGNANT": 1.0, "BENIGN": 0.0, "BENIGN_WITHOUT_CALLBACK": 0.0}
SUSPICIOUS = {"1": 0.0, "2": 0.0, "4": 1.0, "5": 1.0}  # BI-RADS 3 is neither, 0 an incomplete reading
SHAPES = {
    "ARCHITECTURAL_DISTORTION": "distortion",
    "FOCAL_ASYMMETRIC_DENSITY": "asymmetry",
    "ASYMMETRIC_BREAST_TISSUE": "asymmetry",
}

OUTLINED = ("lesion", "mass", "calcification", "distortion", "asymmetry")

CARD = Card(
    title="CBIS-DDSM",
    modality="mammography",
    terms={
        "masks": OUTLINED,
        "boxes": OUTLINED,
        "values": ("malignant", "suspicious", "dense"),
        "measurements": ("density",),
    },
    needs=(
        # all four: a film that is in the tables of masses and of calcifications has the lesions of both
        *(Need(table, f"a row per {term}, official split {split}") for table, (term, split) in TABLES.items()),
        Need("**/Mass-Training_P_*", "and Calc-, and -Test: a folder per film and one per lesion", optional=True),
    ),
    columns=("density", "assessment", "pathology", "subtlety"),
    patients="P_ and five digits, one person in all four tables",
    split="by the file a row is in; a film that is in a training and a test table counts as test (29 of 3,032), and "
    "31 patients are on both sides",
    page="https://www.cancerimagingarchive.net/collection/cbis-ddsm/",
    licence="CC BY 3.0",
    citation="Lee et al., Scientific Data 2017, 4:170177, doi 10.1038/sdata.2017.177; "
    "data: doi 10.7937/K9/TCIA.2016.7O02S9CY",
    defects=(
        "crop and mask of a lesion are often swapped: the mask is known here by its two values and its size",
        "some masks have another size than their film: resized where the proportions agree, else quarantined",
        "lesions are those that somebody outlined: a film of masses says nothing of calcifications, nor the reverse",
        "no normal films",
        "digitised film of the 1990s from four hospitals and several digitisers, of which the tables do not tell",
        "boxes are measured in the masks",
    ),
    tried="the four tables of 2017 (3,568 rows, 3,032 films, 1,566 patients) and the older table of training masses, "
    "as public copies have them; no image",
)


@dataclass(frozen=True)
class Lesion:
    """A row of a table: `row` by our names of columns, what it shows besides a lesion, and its official split."""

    row: Row
    terms: tuple[str, ...]
    split: str


# Where the mask of a lesion may be: folders, and the files in them that the row names as mask and as crop
Outline = tuple[tuple[Path, ...], tuple[PurePosixPath, ...]]


def exams(raw: Path) -> Iterator[Exam]:
    """The films in the terms of the data set: one per patient, breast and view, whatever tables it is in."""
    folder = root(raw, CARD)
    cases = _cases(raw)
    films: dict[str, list[Lesion]] = defaultdict(list)
    for table, (term, split) in TABLES.items():
        for lesion in _lesions(read_table(folder / table, ("patient_id",)), term, split):
            films["_".join(lesion.row[name] for name in ("patient", "side", "view"))].append(lesion)
    for film, lesions in films.items():
        yield _exam(film, lesions, cases, raw)


def _cases(raw: Path) -> dict[str, list[Path]]:
    """{name of a case: its folders}, wherever a download put them.

    Raises:
        UserError: there is none.
    """
    cases: dict[str, list[Path]] = defaultdict(list)
    layer = [raw]
    for _ in range(DEEPEST + 1):
        below = sorted(p for folder in layer for p in folder.iterdir() if p.is_dir() and p.name != "__MACOSX")
        for path in below:
            if CASE.fullmatch(path.name):
                cases[path.name].append(path)
        layer = [path for path in below if not CASE.fullmatch(path.name)]
    if not cases:
        raise UserError(f"{CARD.title}: {raw} lacks folders like Mass-Training_P_00001_LEFT_CC, at most {DEEPEST} deep")
    return dict(cases)


def _lesions(table: Table, term: str, split: str) -> Iterator[Lesion]:
    spelt = {name: _spelt(table, spellings) for name, spellings in COLUMNS.items()}
    shape = next((name for name in SHAPE if name in table.columns), "")
    for row in table:
        shapes = row.get(shape, "").split("-")
        terms = dict.fromkeys([term, *(SHAPES[name] for name in shapes if name in SHAPES)])
        yield Lesion({name: row[column] for name, column in spelt.items()}, tuple(terms), split)


def _spelt(table: Table, spellings: Sequence[str]) -> str:
    for name in spellings:
        if name in table.columns:
            return name
    raise UserError(f"{table.path}: expected a column {' or '.join(map(repr, spellings))}")


def _exam(film: str, lesions: list[Lesion], cases: Mapping[str, list[Path]], raw: Path) -> Exam:
    first = lesions[0].row
    bare = Exam(
        study=film,
        patient=first["patient"],
        modality="mammography",
        image=raw,
        view=first["view"],
        laterality=first["side"][:1],
        # the same film may be in a table for training and in one for test: what is in a test is not trained on
        split="test" if any(lesion.split == "test" for lesion in lesions) else "train",
        attributes={name: _joined(lesions, name) for name in ("density", "assessment", "pathology", "subtlety")},
    )
    try:
        if not re.fullmatch(r"P_\d+_(LEFT|RIGHT)_(CC|MLO)", film):
            raise BadStudy("film not understood: expected a patient like P_00001, LEFT or RIGHT, CC or MLO")
        return replace(bare, image=_image(lesions, cases, raw), **_targets(lesions, cases))
    except BadStudy as error:
        return replace(bare, fault=str(error))


def _joined(lesions: Iterable[Lesion], name: str) -> str:
    return "|".join(sorted({lesion.row[name] for lesion in lesions}))


def _image(lesions: list[Lesion], cases: Mapping[str, list[Path]], raw: Path) -> Path:
    """The file of a film; the tables of masses and of calcifications name one copy each.

    Raises:
        BadStudy: a path leads elsewhere, or it is not clear which file it is.
    """
    places = list(dict.fromkeys(_place(lesion.row, "image") for lesion in lesions))
    copies = [_files(cases.get(case, []), [rest]) for case, rest in places]
    files = next((files for files in copies if files), [raw / places[0][0] / places[0][1]])
    if len(files) > 1:
        raise BadStudy(f"several images of a film: expected one file in its folder, got {len(files)}")
    return files[0]


def _place(row: Row, column: str) -> tuple[str, PurePosixPath]:
    """A path of a row as (case, rest): some have backslashes, and some a line break.

    Raises:
        BadStudy: it leads elsewhere, or to another film.
    """
    path = PurePosixPath(re.sub(r"[\r\n]", "", row[column]).replace("\\", "/"))
    at = next((i for i, part in enumerate(path.parts) if CASE.fullmatch(part)), None)
    if at is None or path.is_absolute() or ".." in path.parts:
        raise BadStudy(
            "path not understood: expected Mass-Training_P_00001_LEFT_CC/<study>/<series>/<file> or the like"
        )
    if "{patient}_{side}_{view}".format_map(row) not in path.parts[at]:
        raise BadStudy("path of another film: expected the patient, breast and view of its row")
    return path.parts[at], PurePosixPath(*path.parts[at + 1 :])


def _files(folders: Sequence[Path], rests: Sequence[PurePosixPath]) -> list[Path]:
    """The files of a case that are named; where they are not there, all it has: downloads rename folders and files."""
    for folder in folders:
        named = [folder / rest for rest in rests]
        if all(path.is_file() for path in named):
            return named
    found = (path for folder in folders for path in folder.rglob("[!.]*"))
    return sorted(path for path in found if path.suffix.lower() in IMAGES)


def _targets(lesions: list[Lesion], cases: Mapping[str, list[Path]]) -> dict[str, Any]:
    """What is known of a film, as fields of an `Exam`.

    Masks are of what the film has. That it has no other kind is not known, for nobody looked for it: so there is no
    empty mask, and no value of a kind, which could only ever be 1.
    """
    outlines: dict[str, list[Outline]] = defaultdict(list)
    for lesion in lesions:
        outline = _outline(lesion.row, cases)
        for term in ("lesion", *lesion.terms):
            outlines[term].append(outline)
    alone = {outline: partial(draw, (outline,)) for outline in outlines["lesion"]}
    return {
        "masks": {term: partial(draw, tuple(drawn)) for term, drawn in outlines.items()},
        "boxes": [(term, alone[outline]) for term, drawn in outlines.items() for outline in drawn],
        **_assessed([lesion.row for lesion in lesions]),
    }


def _assessed(rows: list[Row]) -> dict[str, dict[str, float]]:
    """A film is malignant or suspicious if any of its lesions is, and is not if none of them is."""
    if not all(row["pathology"] in ("", *PATHOLOGY) for row in rows):
        raise BadStudy(f"pathology not understood: expected one of {', '.join(PATHOLOGY)}")
    values = {
        "malignant": _worst([PATHOLOGY.get(row["pathology"]) for row in rows]),
        "suspicious": _worst([SUSPICIOUS.get(row["assessment"]) for row in rows]),
    }
    densities = {row["density"] for row in rows}
    known = len(densities) == 1 and densities <= {"1", "2", "3", "4"}  # 0 is found, too
    density = float(densities.pop()) if known else None
    values["dense"] = density and float(density >= 3)
    return {
        "values": {term: value for term, value in values.items() if value is not None},
        "measurements": {} if density is None else {"density": density},
    }


def _worst(values: Sequence[float | None]) -> float | None:
    return 1.0 if 1.0 in values else None if None in values else 0.0


def _outline(row: Row, cases: Mapping[str, list[Path]]) -> Outline:
    places = [_place(row, name) for name in ("mask", "crop")]
    folders = dict.fromkeys(folder for case, _ in places for folder in cases.get(case, []))
    return tuple(folders), tuple(dict.fromkeys(rest for _, rest in places))


def draw(outlines: Sequence[Outline], shape: tuple[int, int]) -> Array:
    """[H,W] bool, True within any of the lesions.

    Raises:
        BadStudy: the mask of one is not to be found, or was drawn on another film.
    """
    return np.any([_drawn(*outline, shape) for outline in outlines], axis=0)


@lru_cache(maxsize=4)  # the lesions of a film, asked once for every head
def _drawn(folders: Sequence[Path], rests: Sequence[PurePosixPath], shape: tuple[int, int]) -> Array:
    """The mask of one lesion: of its files the one with two values, and of several the largest."""
    masks = []
    for file in _files(folders, rests):
        mask = _two_valued(file)
        if mask is not None and mask.shape == shape:
            return mask
        masks += [] if mask is None else [mask]
    if not masks:
        raise BadStudy("no mask of a lesion: expected an image of two values beside its crop")
    return resized(max(masks, key=lambda mask: mask.size), shape)


def _two_valued(path: Path) -> Array | None:
    """A mask [H,W] bool; None: the picture has other values than two, or cannot be read."""
    try:
        stored = pixels.read_mask(path)
    except BadStudy:  # a crop of a few pixels is no harm, if the mask is another file
        return None
    low, high = stored.min(), stored.max()
    return stored == high if low < high and ((stored == low) | (stored == high)).all() else None
