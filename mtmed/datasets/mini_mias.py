"""mini-MIAS (1994): digitised mammograms on film, circles around abnormalities."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from skimage.draw import disk

from mtmed.data.exam import Exam
from mtmed.data.quality import BadStudy
from mtmed.datasets._base import Card, Need, root
from mtmed.errors import UserError
from mtmed.types import Array

TABLE = "Info.txt"
SIDE = 1024  # pixels of every film, by which Info.txt counts
MM = 0.2  # per pixel, as Info.txt says
FILM = re.compile(r"mdb\d{3}")
SUFFIXES = (".pgm", ".png", ".jpg", ".jpeg")  # the archive's own first

KINDS = {
    "CALC": "calcification",
    "CIRC": "mass",
    "SPIC": "mass",
    "MISC": "mass",  # "other, ill-defined masses"
    "ARCH": "distortion",
    "ASYM": "asymmetry",
}
MARKED = ("lesion", "mass", "calcification", "distortion", "asymmetry")
SEVERITY = {"B": 0.0, "M": 1.0}
DENSE = {"F": 0.0, "D": 1.0}  # fatty-glandular, G, lies on both sides of where BI-RADS divides

CARD = Card(
    title="mini-MIAS",
    modality="mammography",
    terms={"masks": MARKED, "boxes": MARKED, "values": ("malignant", *MARKED, "dense")},
    needs=(
        Need(TABLE, "a header in words, then a row per abnormality or normal film"),
        Need("mdb[0-9][0-9][0-9].*", "the films, mdb001.pgm to mdb322.pgm; PNG and JPEG are read too"),
    ),
    columns=("tissue", "class", "severity"),
    patients="films in pairs, (1, 2), (3, 4), ...: even numbers are left breasts; named mias_001, mias_002, ...",
    page="http://peipa.essex.ac.uk/info/mias.html",
    download=("http://peipa.essex.ac.uk/pix/mias/all-mias.tar.gz",),
    licence="Licence.txt of the archive: research only, cite, no renting or selling; the full-size MIAS v1.21 is CC BY",
    citation="Suckling et al., Excerpta Medica International Congress Series 1069, 1994, pp 375-378; "
    "full-size database: doi 10.17863/CAM.105113",
    defects=(
        "circles, not outlines: a mask is a disc, and one around calcifications holds their whole cluster",
        "four abnormal films have no location (mdb059, mdb216, mdb233, mdb245): no mask and no box, but a class",
        "no film has two classes: on an abnormal film other findings are unknown, not absent",
        "Info.txt does not say how it was found out what is malignant",
        "film, reduced to 0.2 mm a pixel and 8 bits; no spacing in the files; labels and tape are in the picture",
    ),
    tried="all 330 rows of Info.txt and 4 of the 322 films (as JPEG); centres, radii, sides, patients and severity "
    "agree with an independent conversion of 212 films",
)


class Lesion(NamedTuple):
    """One row: what it is, 1 if it is malignant, and its circle (x, y, radius), origin top left; None: not located."""

    kind: str
    malignant: float
    circle: tuple[float, float, float] | None


def exams(raw: Path) -> Iterator[Exam]:
    """The films in the terms of the data set."""
    folder = root(raw, CARD)
    files = _files(folder)
    for film, rows in _rows(folder / TABLE).items():
        yield _exam(film, files.get(film, folder / f"{film}.pgm"), rows)


def _files(folder: Path) -> dict[str, Path]:
    """{film: its file}; others that lie beside them, as films without their pectoral muscle, are no films."""
    found = [p for p in folder.iterdir() if FILM.fullmatch(p.stem) and p.suffix.lower() in SUFFIXES]
    ranked = sorted(found, key=lambda p: SUFFIXES.index(p.suffix.lower()), reverse=True)
    return {p.stem: p for p in ranked}


def _rows(path: Path) -> dict[str, list[list[str]]]:
    """{film: the fields of its rows}, without the header."""
    rows: dict[str, list[list[str]]] = defaultdict(list)
    for line in path.read_text(encoding="latin-1").splitlines():
        fields = line.split()
        if len(fields) > 1 and FILM.fullmatch(fields[0]):
            rows[fields[0]].append(fields)
    if not rows:
        raise UserError(f"{path}: expected rows like 'mdb001 G CIRC B 535 425 197', found none")
    return dict(rows)


def _exam(film: str, image: Path, rows: list[list[str]]) -> Exam:
    number = int(film[3:])
    bare = Exam(
        study=film,
        patient=f"mias_{(number + 1) // 2:03d}",
        modality="mammography",
        image=image,
        extent_mm=(SIDE * MM, SIDE * MM),
        view="MLO",
        laterality="R" if number % 2 else "L",
        attributes=_attributes(rows),
    )
    try:
        return replace(bare, **_targets(_lesions(rows), rows[0][1]))
    except BadStudy as error:
        return replace(bare, fault=str(error))


def _targets(lesions: list[Lesion], tissue: str) -> dict[str, Any]:
    """What the rows of a film say, as fields of an `Exam`."""
    found = {term: [x.circle for x in lesions if term in ("lesion", x.kind)] for term in MARKED}
    # a film is listed under what it was chosen for: on an abnormal one, only that is known
    known = [term for term in MARKED if found[term] or not lesions]
    circles = {term: tuple(circle for circle in found[term] if circle) for term in known}
    discs = {circle: partial(_discs, (circle,)) for circle in circles.get("lesion", ())}
    complete = [term for term in known if None not in found[term]]
    return {
        "masks": {term: partial(_discs, circles[term]) for term in complete},
        # measured in the discs, which know the size of the film that circles are counted in
        "boxes": [(term, disc) for term in known for circle, disc in discs.items() if circle in circles[term]],
        "all_boxes": frozenset(complete),
        "values": {
            "malignant": max((x.malignant for x in lesions), default=0.0),
            **{term: float(bool(lesions)) for term in known},
            **({"dense": DENSE[tissue]} if tissue in DENSE else {}),
        },
    }


def _lesions(rows: list[list[str]]) -> list[Lesion]:
    """The abnormalities of a film; none: it is normal.

    Raises:
        BadStudy: a row is something else.
    """
    if rows[0][2:] == ["NORM"] and len(rows) == 1:
        return []
    return [_lesion(fields) for fields in rows]


def _lesion(fields: list[str]) -> Lesion:
    kind, severity, *place = fields[2:] if len(fields) >= 4 else ("", "")
    if kind not in KINDS or severity not in SEVERITY:
        raise BadStudy(f"row of {TABLE} not understood: expected film, tissue, class and severity, or NORM alone")
    # "*NOTE 3*" stands where calcifications are all over the breast; once there is nothing at all
    circle = _circle(place) if place and not place[0].startswith("*") else None
    return Lesion(KINDS[kind], SEVERITY[severity], circle)


def _circle(place: list[str]) -> tuple[float, float, float]:
    try:
        x, y, radius = (int(number) for number in place)
    except ValueError:
        raise BadStudy(f"circle not understood: expected whole numbers x, y, radius in {TABLE}") from None
    if radius < 1:
        raise BadStudy(f"circle not understood: expected a radius of at least 1 pixel in {TABLE}, got {radius}")
    return x, SIDE - y, radius  # the origin of Info.txt is bottom left


def _attributes(rows: list[list[str]]) -> dict[str, str]:
    columns = {"tissue": 1, "class": 2, "severity": 3}
    cells = {name: sorted({row[i] for row in rows if len(row) > i}) for name, i in columns.items()}
    return {name: "|".join(values) for name, values in cells.items() if values}


def _discs(circles: Sequence[tuple[float, float, float]], shape: tuple[int, int]) -> Array:
    """[H,W] bool, True within any circle."""
    if circles and shape != (SIDE, SIDE):
        raise BadStudy(f"film of another size: expected {SIDE} x {SIDE} pixels, got {shape[0]} x {shape[1]}")
    mask = np.zeros(shape, bool)
    for x, y, radius in circles:
        inside = disk((y, x), radius, shape=shape)
        if not inside[0].size:
            raise BadStudy(f"circle outside the film: expected one within {SIDE} x {SIDE} pixels")
        mask[inside] = True
    return mask
