"""DICOM headers without the patient: the standard's profile, and of what it leaves only what the pixels need.

The basic profile of PS3.15 (table E.1-1, by dicom-anonymizer) names the elements that are known to identify, and keeps
every other: a name in a code's meaning, a manufacturer's text or an item of a sequence would stay. Here the list is of
what is kept, and a text is kept only where it is one of the few that its element can be. The profile is applied to
what is left, so that a list that grows carelessly does not let a person through.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions_2024b
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID_dictionary

from mtmed import modalities
from mtmed.data.dicom_facts import VIEW_OF_CODE, is_view

Cleaner = Callable[[Any], Any]  # the value to keep of an element's value, or None
Rules = Mapping[str, "Cleaner | Rules"]  # by keyword; of a sequence, the rules of its items

LARGEST = 1e7  # a number of a picture is smaller; a date of birth or a record number is not
UNKNOWN = "UNKNOWN"  # in place of a modality that is none: that it was stated is known, what it said is not


def deidentify(dataset: Dataset) -> None:
    """Leave in a dataset, in place, what `KEPT` lists, and of its file's own header what `KEPT_META` does.

    An element that cannot be understood (broken, of another type than the dictionary's, of an unknown value) is
    removed; nothing is raised and nothing is logged of it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote the values
        kept = _kept(dataset, KEPT)
        _apply_profile(kept)
        meta = _kept(getattr(dataset, "file_meta", None) or Dataset(), KEPT_META)
    _renew(dataset, kept)
    dataset.file_meta = FileMetaDataset(meta)


def _renew(dataset: Dataset, kept: Dataset) -> None:
    """Replace a dataset by what is kept of it, with all that pydicom remembers of it: creators, a path, a preamble."""
    encoding = dataset.original_encoding
    vars(dataset).clear()
    Dataset.__init__(dataset)
    dataset.update(kept)
    dataset.set_original_encoding(*encoding)
    if isinstance(dataset, FileDataset):
        vars(dataset).update(dict.fromkeys(("preamble", "filename", "buffer", "fileobj_type", "timestamp")))


def _kept(dataset: Dataset, rules: Rules) -> Dataset:
    kept = Dataset()
    for keyword, rule in rules.items():
        element = _element(dataset, keyword, rule)
        if element is not None:
            kept.add(element)
    return kept


def _element(dataset: Dataset, keyword: str, rule: "Cleaner | Rules") -> DataElement | None:
    """A clean element, or None: it is missing, broken or of a value that is not kept."""
    try:
        if keyword not in dataset:
            return None
        found = dataset[keyword]
        value = _items(found.value, rule) if isinstance(rule, Mapping) else rule(found.value)
        known = dictionary_VR(found.tag).split(" or ")
        return None if value is None else DataElement(found.tag, found.VR if found.VR in known else known[0], value)
    except Exception:  # a value is parsed when it is first asked for, and may be anything
        return None


def _items(value: Any, rules: Rules) -> Sequence | None:
    if not isinstance(value, Sequence):
        return None
    return Sequence([_kept(item, rules) for item in value])


def _apply_profile(dataset: Dataset) -> None:
    """The library's rules for what is there; it looks into no sequence that it keeps, so each item is its own."""
    tags = dataset.keys()
    present: dict[tuple[int, ...], BaseTag] = {(tag.group, tag.element): tag for tag in tags}
    rules = {tag: action for tag, action in _profile().items() if tag in present or len(tag) > 2}
    try:
        anonymize_dataset(dataset, base_rules_gen=lambda: rules)
    except Exception:  # of types that it has no substitute for
        for tag in rules.keys() & present.keys():
            del dataset[present[tag]]
    for element in dataset:
        for item in element.value if element.VR == "SQ" else []:
            _apply_profile(item)


@cache
def _profile() -> dict[tuple[int, ...], Callable[..., None]]:
    return dict(initialize_actions_2024b())


def _numbers(value: Any) -> Any:
    if isinstance(value, list | MultiValue):
        numbers = [_number(v) for v in value]
        return numbers if numbers and None not in numbers else None
    return _number(value)


def _number(value: Any) -> int | float | None:
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > LARGEST:
        return None
    # pydicom's own types of number remember how the file wrote them
    return int(value) if isinstance(value, int) else float(value)


def _table(value: Any) -> Any:
    """Pixels, and tables of brightness: bytes or numbers."""
    return value if isinstance(value, bytes) else _numbers(value)


def _one_of(*known: str) -> Cleaner:
    return lambda value: _text(value) if _text(value) in known else None


def _text(value: Any) -> str:
    return str(value).strip().upper()


def _view(value: Any) -> str | None:
    return _text(value) if is_view(_text(value)) else None


def _modality(value: Any) -> str | None:
    code = _text(value)
    return (code if modalities.nameable(code) == code else UNKNOWN) if code else None


def _uid(value: Any) -> str | None:
    """A UID that the standard defines; others are of one site, device or image."""
    return str(value) if str(value) in UID_dictionary else None


def _lut(prefix: str = "LUT") -> Rules:
    return {f"{prefix}Descriptor": _numbers, f"{prefix}Data": _table}


_SIDE = _one_of("L", "R", "U", "B")
_PHOTOMETRIC = (
    *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422"),
    *("YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "XYB", "HSV", "ARGB", "CMYK"),
)
_PALETTES: dict[str, Cleaner | Rules] = {
    keyword: rule
    for colour in ("Red", "Green", "Blue")
    for keyword, rule in {
        **_lut(f"{colour}PaletteColorLookupTable"),
        f"Segmented{colour}PaletteColorLookupTableData": _table,
    }.items()
}
_REGION: Rules = dict.fromkeys(
    (
        *("PhysicalUnitsXDirection", "PhysicalUnitsYDirection", "PhysicalDeltaX", "PhysicalDeltaY"),
        "RegionSpatialFormat",
    ),
    _numbers,
)
KEPT_META: Rules = {"MediaStorageSOPClassUID": _uid, "TransferSyntaxUID": _uid}
KEPT: Rules = {
    "SOPClassUID": _uid,
    "Modality": _modality,
    "PresentationIntentType": _one_of("FOR PRESENTATION", "FOR PROCESSING"),
    "BurnedInAnnotation": _one_of("YES", "NO"),
    "ViewPosition": _view,
    "ViewCodeSequence": {"CodeValue": _one_of(*VIEW_OF_CODE)},
    "ImageLaterality": _SIDE,
    "Laterality": _SIDE,
    "SharedFunctionalGroupsSequence": {"FrameAnatomySequence": {"FrameLaterality": _SIDE}},
    "PhotometricInterpretation": _one_of(*_PHOTOMETRIC),
    **dict.fromkeys(
        (
            *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration"),
            *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
            *("PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept"),
            *("WindowCenter", "WindowWidth"),
            *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
            "EstimatedRadiographicMagnificationFactor",
        ),
        _numbers,
    ),
    "PixelSpacingCalibrationType": _one_of("GEOMETRY", "FIDUCIAL"),
    "VOILUTFunction": _one_of("LINEAR", "LINEAR_EXACT", "SIGMOID"),
    "ModalityLUTSequence": _lut(),
    "VOILUTSequence": _lut(),
    "SequenceOfUltrasoundRegions": _REGION,
    **_PALETTES,
    "PixelData": _table,
}
KEPT_TAGS = [tag for tag in map(tag_for_keyword, KEPT) if tag is not None]
