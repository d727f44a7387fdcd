"""What a DICOM header says of its picture, as values of closed lists: a header may hold a person's name anywhere."""

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from mtmed import modalities

# codes of ViewCodeSequence: SNOMED CT and, in files before 2017, SNOMED RT (PS3.16 CID 4014 of breasts, 4010 of chests)
VIEW_OF_CODE = {
    **dict.fromkeys(("399162004", "R-10242"), "CC"),
    **dict.fromkeys(("399368009", "R-10226"), "MLO"),
    **dict.fromkeys(("399260004", "R-10224"), "ML"),
    **dict.fromkeys(("399352003", "R-10228"), "LM"),
    **dict.fromkeys(("399099002", "R-10230"), "LMO"),
    **dict.fromkeys(("399192008", "R-1024A"), "XCCL"),
    **dict.fromkeys(("399101009", "R-1024B"), "XCCM"),
    **dict.fromkeys(("399196006", "R-10244"), "FB"),
    **dict.fromkeys(("399188001", "R-102D0"), "SIO"),
    **dict.fromkeys(("441555000", "R-40AAA"), "ISO"),
    **dict.fromkeys(("272479007", "R-40888", "399066004", "R-10214"), "PA"),
    **dict.fromkeys(("399348003", "R-10206"), "AP"),
    **dict.fromkeys(("399173006", "R-10236"), "LL"),
    **dict.fromkeys(("399198007", "R-10232"), "RL"),
}
# ViewPosition of chests and limbs (PS3.3 C.8.7.5.1.1); those that a modality names are known as well
POSITIONS = frozenset({*VIEW_OF_CODE.values(), "RLD", "LLD", "RLO", "LLO"})
CENTIMETRES = 3  # of PhysicalUnitsXDirection (PS3.3 C.8.5.5.1.15)
PLANE = 1  # RegionSpatialFormat of B-mode; M-mode and Doppler have time on an axis
LARGEST_FACTOR = 5.0  # of magnification: a breast on its stand is shown at less than 2
PLAUSIBLE_MM = (1e-3, 10.0)  # of one pixel; outside it a header says metres, inches or nothing


@dataclass(frozen=True)
class Facts:
    """A picture's header in brief.

    Attributes:
        spacing_mm: millimetres per pixel (row, column) in the patient, or None where the file does not say.
        modality: the DICOM modality, `modalities.nameable` where it is none that is known, None where there is none.
        view: code of the view (CC, MLO, PA, ...), or "".
        laterality: L, R, or "" where neither or both are stated.
        stated_burned_in: YES, NO or "": whether the file says that text is burned into its pixels.
    """

    spacing_mm: tuple[float, float] | None
    modality: str | None
    view: str
    laterality: str
    stated_burned_in: str


def facts(header: Dataset) -> Facts:
    """The facts of a header that `deidentify` has cleaned; a value that is on no list is not stated."""
    code = _code(header, "Modality")
    return Facts(
        spacing_mm=spacing(header),
        modality=modalities.nameable(code) if code else None,
        view=view(header),
        laterality=laterality(header),
        stated_burned_in=_code(header, "BurnedInAnnotation", ("YES", "NO")),
    )


def is_view(code: str) -> bool:
    """Whether a ViewPosition is one that is known."""
    return code in POSITIONS or modalities.of_view(code) is not None


def view(header: Dataset) -> str:
    """ViewPosition (0018,5101), or what ViewCodeSequence (0054,0220) says where it is not one; else ""."""
    position = _code(header, "ViewPosition")
    if is_view(position):
        return position
    codes = (VIEW_OF_CODE.get(_code(item, "CodeValue"), "") for item in header.get("ViewCodeSequence") or [])
    return next((code for code in codes if code), "")


def laterality(header: Dataset) -> str:
    """L or R of the image (0020,0062), its frame (0020,9072) or its series (0020,0060): the nearest that is stated."""
    shared = header.get("SharedFunctionalGroupsSequence") or []
    frames = [item for group in shared for item in group.get("FrameAnatomySequence") or []]
    stated = [
        _code(header, "ImageLaterality"),
        *(_code(item, "FrameLaterality") for item in frames),
        _code(header, "Laterality"),
    ]
    # an image of both breasts (B) is of neither, whatever its series says
    first = next((side for side in stated if side), "")
    return first if first in ("L", "R") else ""


def spacing(header: Dataset) -> tuple[float, float] | None:
    """Millimetres per pixel (row, column) in the patient, by the best that is stated.

    PS3.3 10.7.1.3: on projections PixelSpacing is calibrated (to a fiducial, or for magnification) only where it
    differs from ImagerPixelSpacing or says how; otherwise both are at the detector, where everything is larger than it
    is, by the ratio that EstimatedRadiographicMagnificationFactor (0018,1114) gives where it is known.
    Ultrasound states it per region of the screen (C.8.5.5).
    """
    pixel, imager = _pair(header, "PixelSpacing"), _pair(header, "ImagerPixelSpacing")
    calibrated = pixel != imager or "PixelSpacingCalibrationType" in header
    return (
        _region_spacing(header)
        or (pixel if calibrated else None)
        or _in_patient(imager, header)
        or _pair(header, "NominalScannedPixelSpacing")
    )


def _in_patient(detector: tuple[float, float] | None, header: Dataset) -> tuple[float, float] | None:
    factor = header.get("EstimatedRadiographicMagnificationFactor")
    if detector is None or not isinstance(factor, float) or not 1 <= factor <= LARGEST_FACTOR:
        return detector
    return detector[0] / factor, detector[1] / factor


def _region_spacing(header: Dataset) -> tuple[float, float] | None:
    """That of the regions of B-mode, if all have the same: two depths side by side have no spacing in common."""
    found = [_pair_of_region(r) for r in header.get("SequenceOfUltrasoundRegions") or [] if _is_plane(r)]
    known = [f for f in found if f]
    if not known or len(known) < len(found) or not np.allclose(known, known[0], rtol=0.01):
        return None
    return known[0]


def _is_plane(region: Dataset) -> bool:
    return region.get("RegionSpatialFormat", PLANE) == PLANE


def _pair_of_region(region: Dataset) -> tuple[float, float] | None:
    units = (region.get("PhysicalUnitsYDirection"), region.get("PhysicalUnitsXDirection"))
    if units != (CENTIMETRES, CENTIMETRES):
        return None
    # a negative delta says that the axis points the other way
    row, column = (region.get(f"PhysicalDelta{axis}") for axis in "YX")
    if not isinstance(row, float) or not isinstance(column, float):
        return None
    return _plausible(10 * abs(row), 10 * abs(column))


def _pair(header: Dataset, keyword: str) -> tuple[float, float] | None:
    value = header.get(keyword)
    if not isinstance(value, list | MultiValue) or len(value) != 2:
        return None
    return _plausible(float(value[0]), float(value[1]))


def _plausible(row: float, column: float) -> tuple[float, float] | None:
    low, high = PLAUSIBLE_MM
    return (row, column) if low <= min(row, column) and max(row, column) <= high else None


def _code(header: Dataset, keyword: str, known: tuple[str, ...] = ()) -> str:
    code = str(header.get(keyword) or "").strip().upper()
    return code if not known or code in known else ""
