"""INbreast (2012): full-field digital mammograms as DICOM, contours by a specialist as XML."""

import plistlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from xml.parsers.expat import ExpatError

import numpy as np
from skimage.draw import disk, polygon

from mtmed.data.exam import Box, Exam
from mtmed.data.quality import LARGEST, BadStudy
from mtmed.data.table import Row, grouped, read_table
from mtmed.datasets._base import Card, Need, root
from mtmed.types import Array

TABLE, IMAGES, CONTOURS = "INbreast.csv", "AllDICOMs", "AllXML"
COLUMNS = ("Patient age", "Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads")

# names of contours, in small letters and as the files spell them -> what they show, besides a lesion
KINDS = {
    "mass": ("mass",),
    "calcification": ("calcification",),
    "calcifications": ("calcification",),
    "cluster": ("calcification", "cluster"),
    "distortion": ("distortion",),
    "asymmetry": ("asymmetry",),
    "assymetry": ("asymmetry",),
    "asimmetry": ("asymmetry",),
    "spiculated region": ("spiculation",),
    "espiculated region": ("spiculation",),
}
MARKED = ("lesion", "mass", "calcification", "cluster", "distortion", "asymmetry", "spiculation")
SUSPICIOUS = {"1": 0.0, "2": 0.0, **dict.fromkeys(("4", "4a", "4b", "4c", "5", "6"), 1.0)}  # 3: neither
POINT = re.compile(r"\(\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*\)")
RADIUS = 3.5  # pixels of 0.07 mm: the 0.5 mm that a microcalcification measures at most

CARD = Card(
    title="INbreast",
    modality="mammography",
    terms={"masks": MARKED, "boxes": MARKED, "values": ("suspicious", *MARKED, "dense"), "measurements": ("density",)},
    needs=(
        Need(TABLE, "a row per image, separated by semicolons"),
        Need(f"{IMAGES}/*.dcm", "the images, <image>_<patient>_MG_R_CC_ANON.dcm"),
        Need(f"{CONTOURS}/*.xml", "their contours, <image>.xml; a normal image has none"),
    ),
    columns=("age", "date", "density", "assessment"),
    patients="the second field of the image's file name; the table says 'removed'",
    page="http://medicalresearch.inescporto.pt/breastresearch/index.php/Get_INbreast_Database",
    licence="given on request for research, by the authors; no open licence, so no redistribution",
    citation="Moreira et al., Academic Radiology 2012, 19(2):236-248, doi 10.1016/j.acra.2011.09.014",
    defects=(
        "no pathology: suspicious is BI-RADS 4a to 6 against 1 and 2; 3 is unknown, and nothing is called malignant",
        "BI-RADS is of the breast: an image in which the lesion cannot be seen has it too",
        "contours of a single point, drawn as discs of 0.5 mm",
        "names of contours that say nothing (Unnamed, Point 1, ...): a lesion of unknown kind",
        "file names say ML where the table says MLO; the table is right",
        "one centre, one scanner; users report that the page of the source no longer answers",
    ),
)


class Contour(NamedTuple):
    """What was outlined and its points (x, y) in pixels; `kinds` is empty where the name says nothing."""

    kinds: tuple[str, ...]
    points: tuple[tuple[float, float], ...]


def exams(raw: Path) -> Iterator[Exam]:
    """The images in the terms of the data set."""
    folder = root(raw, CARD)
    # by what the folders hold, not by paths made of cells: nothing outside can be named
    images = {p.name.split("_")[0]: p for p in sorted((folder / IMAGES).glob("[!.]*.dcm"))}
    contours = {p.stem: p for p in (folder / CONTOURS).glob("[!.]*.xml")}
    for name, (row, *again) in grouped(read_table(folder / TABLE, COLUMNS, separator=";"), "File Name").items():
        exam = _described(row, images.get(name, folder / IMAGES))
        try:
            if again:
                raise BadStudy("image listed twice: expected one row per image")
            if name not in images:
                raise BadStudy(f"no image of this row: expected {IMAGES}/<File Name>_<patient>_MG_... .dcm")
            yield replace(exam, **_targets(_outlined(contours.get(name), row["Bi-Rads"]), row))
        except BadStudy as error:
            yield replace(exam, fault=str(error))


def _described(row: Row, image: Path) -> Exam:
    """An image without what is to be found in it."""
    return Exam(
        study=row["File Name"],
        patient=image.name.split("_")[1] if image.name.count("_") > 1 else "",
        modality="mammography",
        image=image,
        view=row["View"],
        laterality=row["Laterality"],
        attributes={
            "age": row["Patient age"],
            "date": row["Acquisition date"],
            "density": row["ACR"],
            "assessment": row["Bi-Rads"],
        },
    )


def _outlined(path: Path | None, assessment: str) -> list[Contour] | None:
    """All contours of an image; None: nobody outlined what there is."""
    if path is not None:
        return read_contours(path)
    # no file means no finding; but what is benign or worse is a finding, so then the file is lost
    return [] if assessment == "1" else None


def _targets(contours: list[Contour] | None, row: Row) -> dict[str, Any]:
    """What is known of an image, as fields of an `Exam`."""
    found = {t: [c.points for c in contours or () if t == "lesion" or t in c.kinds] for t in MARKED}
    known = _known(contours)
    assessment = row["Bi-Rads"].lower()
    density = float(row["ACR"]) if row["ACR"] in ("1", "2", "3", "4") else None
    return {
        "masks": {term: partial(draw, tuple(found[term])) for term in known},
        "boxes": [(term, _box(points)) for term in MARKED for points in found[term]],
        "all_boxes": known,
        "values": {
            **{term: float(bool(found[term])) for term in MARKED if term in known or found[term]},
            **({"suspicious": SUSPICIOUS[assessment]} if assessment in SUSPICIOUS else {}),
            **({"dense": float(density >= 3)} if density else {}),
        },
        "measurements": {"density": density} if density else {},
    }


def _known(contours: list[Contour] | None) -> frozenset[str]:
    """The terms of which everything is outlined: all, for the specialist outlined every kind of finding."""
    if contours is None:
        return frozenset()
    # a contour without a kind may be of any
    return frozenset(MARKED if all(c.kinds for c in contours) else ("lesion",))


def read_contours(path: Path) -> list[Contour]:
    """The contours of a property list as OsiriX writes it.

    Raises:
        BadStudy: it is something else.
    """
    try:
        # plistlib refuses declarations of entities, so that a file of a few lines cannot grow to gigabytes
        with path.open("rb") as file:
            image = plistlib.load(file, fmt=plistlib.FMT_XML)["Images"][0]
        rois, expected = list(image["ROIs"]), int(image["NumberOfROIs"])
        contours = [_contour(roi) for roi in rois if not str(roi["Name"]).lower().startswith("pectoral")]
    except (BadStudy, plistlib.InvalidFileException, ExpatError) as error:
        raise BadStudy(f"contours not understood: {error}") from error
    except Exception as error:  # what plistlib raises on damaged files is not enumerable, and may quote them
        raise BadStudy(
            "contours not understood: expected a property list of Images[0], ROIs[], each with Name, NumberOfPoints "
            f"and Point_px ({type(error).__name__})"
        ) from error
    if len(rois) != expected:
        raise BadStudy(f"contours not understood: expected {expected} as NumberOfROIs says, got {len(rois)}")
    return contours


def _contour(roi: Mapping[str, Any]) -> Contour:
    matches = [POINT.fullmatch(str(point).strip()) for point in roi["Point_px"]]
    points = tuple((float(match[1]), float(match[2])) for match in matches if match)
    if not points or len(points) != len(matches) or len(points) != int(roi["NumberOfPoints"]):
        raise BadStudy("expected as many points '(x, y)' as NumberOfPoints says, and at least one")
    if not all(abs(number) < LARGEST for point in points for number in point):
        raise BadStudy("expected points in pixels of an image")
    return Contour(KINDS.get(" ".join(str(roi["Name"]).lower().split()), ()), points)


def _box(points: Sequence[tuple[float, float]]) -> Box:
    xs, ys = zip(*points, strict=True)
    margin = RADIUS if len(points) < 3 else 0.5  # points are centres of pixels
    return min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin


def draw(contours: Sequence[Sequence[tuple[float, float]]], shape: tuple[int, int]) -> Array:
    """[H,W] bool, True within any contour.

    Raises:
        BadStudy: a contour is nowhere in the image.
    """
    mask = np.zeros(shape, bool)
    for points in contours:
        inside = _inside(points, shape)
        if not any(rows.size for rows, _ in inside):
            raise BadStudy(f"contour outside the image: expected one within {shape[0]} x {shape[1]} (rows x columns)")
        for pixels in inside:
            mask[pixels] = True
    return mask


def _inside(points: Sequence[tuple[float, float]], shape: tuple[int, int]) -> list[tuple[Array, Array]]:
    """The pixels of a contour, as (rows, columns); of points and lines, which hold none, discs around their points."""
    xs, ys = zip(*points, strict=True)
    filled = polygon(ys, xs, shape) if len(points) > 2 else (np.empty(0, int), np.empty(0, int))
    return [filled] if filled[0].size else [disk((y, x), RADIUS, shape=shape) for x, y in points]
