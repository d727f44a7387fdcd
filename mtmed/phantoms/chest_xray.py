"""Frontal chest films that never were: PA of those who can stand, AP of those in bed, with opacities of pneumonia."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage
from scipy.ndimage import rotate

from mtmed.phantoms._chest_innocent import innocent
from mtmed.phantoms._exam import Drawing, Exam, Lesion, Modality
from mtmed.phantoms._letters import marker
from mtmed.phantoms._opacities import PATTERNS
from mtmed.phantoms._shapes import Rng, smooth
from mtmed.phantoms._skeleton import bones
from mtmed.phantoms._thorax import frame, soft_parts
from mtmed.types import Array

SIDE_MM = 400.0
LEANING = {"PA": 2.0, "AP": 4.0}  # degrees
PLATE, FLAT = "Phantom Plate 35", "Phantom Flat 43"


def _describe(dataset: Dataset, exam: Exam, spacing: float) -> None:
    dataset.SOPClassUID, dataset.Modality = ComputedRadiographyImageStorage, "CR"
    dataset.ViewPosition, dataset.BodyPartExamined = exam.view, "CHEST"
    dataset.PixelSpacing = dataset.ImagerPixelSpacing = [spacing, spacing]


def _draw(rng: Rng, exam: Exam, size: int) -> Drawing:
    at = frame(rng, supine=exam.view == "AP")
    chest = soft_parts(rng, size, at)
    thickness = chest.thickness + bones(rng, size, at) * np.clip(4 * chest.thickness, 0, 1)
    found = []
    if exam.finding != "normal":
        pattern = list(PATTERNS)[rng.choice(len(PATTERNS), p=list(PATTERNS.values()))]
        for added, mask in pattern(rng, size, at, chest):
            thickness += exam.contrast * added
            found.append(Lesion(exam.finding, mask, measured=False))
    thickness += innocent(rng, size, at, chest)
    angle = rng.normal(0, LEANING[exam.view])
    shown = marker(_exposed(_leant(thickness, angle), exam), "L", (0.95, 0.06), 0.045)
    found = [Lesion(x.label, _leant(x.mask, angle), x.measured) for x in found]
    lung = _leant(np.any(chest.lungs, axis=0), angle)
    return Drawing(shown, SIDE_MM, [x for x in found if x.mask.any()], {"lung": lung})


def _leant(part: Array, degrees: float) -> Array:
    """A patient stands or lies a little aslant: an image [S,S], or a mask [S,S] bool, turned around its middle."""
    return rotate(part, degrees, reshape=False, order=0 if part.dtype == bool else 1, mode="nearest")


def _exposed(thickness: Array, exam: Exam) -> Array:
    """Brightness of what the rays pass; film and plate answer to its logarithm, flat at both ends."""
    scatter = 0.2 if exam.view == "AP" else 0.1
    seen = np.clip((1 - scatter) * thickness + scatter * smooth(thickness, 0.08), 1e-3, None)
    steep = 3.0 if exam.device == FLAT else 2.6
    return 0.02 + 0.96 / (1 + (0.57 / seen) ** steep)


PHANTOM = Modality(
    findings={"pneumonia": 1.0},
    views=("PA", "AP"),
    devices=(PLATE, FLAT),
    draw=_draw,
    describe=_describe,
    structures=("lung",),
    rescale=(0.5, -20.0),
)
