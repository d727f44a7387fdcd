"""Mammograms that never were: CC and MLO, of four densities, with masses and calcifications.

Densities are as frequent as in screening, 10, 40, 40 and 10 % (ACR BI-RADS, 5th edition); masses are 12 to 42 mm long.
"""

from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation

from mtmed.phantoms import _breast_lesions as lesions
from mtmed.phantoms._breast import FAT, Breast, shape, tissue
from mtmed.phantoms._breast_lesions import Growth
from mtmed.phantoms._exam import Drawing, Exam, Lesion, Modality
from mtmed.phantoms._letters import marker
from mtmed.phantoms._shapes import Point, Rng, dots, place, smooth
from mtmed.types import Array

SIDE_MM = 120.0  # cut to the breast
DENSITIES = {"a": 0.1, "b": 0.4, "c": 0.4, "d": 0.1}
FILM, DIGITAL = "Phantom Film 18", "Phantom Digital 24"
# a patient's lesions: masses, masses with calcifications, calcifications only
KINDS = {"malignant": (0.35, 0.6, 0.05), "benign": (0.85, 0.1, 0.05)}
CANCER_MM, BENIGN_MM = (16, 30, 42), (12, 24, 36)  # least, usual and greatest length
EVEN, SUPERPOSED = 0.8, 0.4  # how much of the tissue's texture a mass evens out, of its brightness it keeps
# one in thirty looks like the other kind: a medullary cancer is circumscribed, a radial scar is spiculated
TYPICAL = 0.97


def _patient(rng: Rng, finding: str) -> dict[str, str]:  # noqa: ARG001
    return {"density": str(rng.choice(list(DENSITIES), p=list(DENSITIES.values())))}


def _describe(dataset: Dataset, exam: Exam, spacing: float) -> None:
    dataset.SOPClassUID, dataset.Modality = DigitalMammographyXRayImageStorageForPresentation, "MG"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ViewPosition, dataset.ImageLaterality = exam.view, exam.laterality
    dataset.BodyPartExamined = "BREAST"
    dataset.PixelSpacing = dataset.ImagerPixelSpacing = [spacing, spacing]


def _draw(rng: Rng, exam: Exam, size: int) -> Drawing:
    breast = shape(rng, size, exam.view)
    image, gland = tissue(rng, size, breast, exam.attributes["density"])
    room = (0.25 + gland) * (breast.muscle < 0.05)
    image += _innocent(rng, size, breast, room, exam.view)
    found, calcified, inside = [], np.zeros((size, size), bool), breast.depth > 0
    for label, growth in _growths(rng, size, breast, room, exam.finding):
        # it takes the place of the tissue that it grew in
        around = FAT + SUPERPOSED * (image[growth.mask].mean() - FAT)
        image += exam.contrast * (growth.solid * EVEN * (around - image) + growth.light * inside)
        found.append(Lesion(label, growth.mask & inside, measured=label != "calcification"))
        calcified |= growth.calcified & inside
    shown = _exposed(np.clip(image * breast.inside, 0, None), exam.device)
    drawing = Drawing(shown, SIDE_MM, [x for x in found if x.mask.any()], {"calcification": calcified})
    drawing = drawing.mirrored() if exam.laterality == "R" else drawing
    if exam.device == FILM:
        at = (0.86 if exam.laterality == "L" else 0.14, 0.09)
        lettered = marker(drawing.image, f"{exam.laterality} {exam.view}", at, 0.035, plate=True)
        drawing = replace(drawing, image=lettered)
    return drawing


def _exposed(light: Array, device: str) -> Array:
    """What a detector makes of it: steep in the middle, flat at both ends; on film, scatter greys it."""
    if device == DIGITAL:
        return 0.98 / (1 + (0.57 / np.maximum(light, 1e-3)) ** 2.5)
    veiled = 0.92 * light + 0.08 * smooth(light, 0.06)
    return 0.02 + 0.96 / (1 + (0.57 / np.maximum(veiled, 1e-3)) ** 2.4)


def _growths(rng: Rng, size: int, breast: Breast, room: Array, finding: str) -> list[tuple[str, Growth]]:
    """(label, lesion) of a patient with a finding; malignant masses more often have satellites."""
    if finding == "normal":
        return []
    malignant = finding == "malignant"
    kind = rng.choice(["mass", "both", "calcification"], p=KINDS[finding])
    if kind == "calcification":
        return [("calcification", _calcification(rng, size, breast, room, malignant))]
    count = 1 + rng.binomial(2 if malignant else 1, 0.2)
    return [(finding, _mass(rng, size, breast, room, malignant, kind == "both")) for _ in range(count)]


def _mass(rng: Rng, size: int, breast: Breast, room: Array, malignant: bool, calcified: bool) -> Growth:
    across = rng.triangular(*(CANCER_MM if malignant else BENIGN_MM)) / SIDE_MM
    at = _site(rng, size, breast, room, across)
    spiked = malignant == (rng.random() < TYPICAL)
    mass = (lesions.spiculated if spiked else lesions.circumscribed)(rng, size, at, across)
    if not calcified:
        return mass
    within = across * rng.uniform(0.8, 1.5)
    inclusions = (
        lesions.cluster(rng, size, at, within, breast.nipple) if malignant else lesions.coarse(rng, size, at, within)
    )
    return replace(mass, light=mass.light + inclusions.light, calcified=inclusions.mask)


def _calcification(rng: Rng, size: int, breast: Breast, room: Array, malignant: bool) -> Growth:
    across = rng.uniform(10, 28) / SIDE_MM
    at = _site(rng, size, breast, room, across)
    if malignant:
        return lesions.cluster(rng, size, at, across, breast.nipple)
    make, shrink = [(lesions.coarse, 0.5), (lesions.rim, 0.35), (lesions.vascular, 1.4)][rng.integers(3)]
    return make(rng, size, at, across * shrink)


def _site(rng: Rng, size: int, breast: Breast, room: Array, across: float) -> Point:
    """A place in the gland, or else in the fat, where a lesion is seen whole; most cancers arise in gland."""
    away = np.ones((size, size), bool)
    margin = int(0.6 * across * size) + 1
    away[:margin] = away[-margin:] = away[:, :margin] = False
    return place(rng, room * (breast.depth > 0.02 + 0.5 * across) * away)


def _innocent(rng: Rng, size: int, breast: Breast, room: Array, view: str) -> Array:
    """Bright things that are no lesions, [S,S]: islands of gland, nodes, a star without a mass, lone calcifications."""
    inner = room * (breast.depth > 0.06)
    light = np.zeros((size, size), np.float32)
    for _ in range(rng.integers(0, 3)):
        light += lesions.asymmetry(rng, size, place(rng, inner), rng.uniform(0.08, 0.16))
    for _ in range(rng.binomial(2, 0.15)):
        light += lesions.node(rng, size, place(rng, inner), rng.uniform(0.03, 0.06))
    if view == "MLO":
        axilla = (breast.depth > 0.03) * (np.arange(size)[:, None] < 0.3 * size)
        for _ in range(rng.binomial(2, 0.3)):
            light += lesions.node(rng, size, place(rng, axilla), rng.uniform(0.04, 0.08))
    if rng.random() < 0.12:
        light += 0.11 * lesions.star_of(rng, size, place(rng, inner), 0.004, 0.08)
    lone = np.array([place(rng, inner) for _ in range(rng.binomial(3, 0.2))]).reshape(-1, 2)
    light += dots(size, lone, 0.002, rng.uniform(0.2, 0.5, len(lone)))
    return light * (breast.depth > 0)


PHANTOM = Modality(
    findings={"malignant": 0.65, "benign": 0.35},
    views=("CC", "MLO"),
    devices=(FILM, DIGITAL),
    draw=_draw,
    describe=_describe,
    lateral=True,
    columns=("density",),
    patient=_patient,
    structures=("calcification",),
)
