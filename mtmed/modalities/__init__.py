"""One imaging modality each: how DICOM and tables say that an image is of it."""

from mtmed.errors import unknown
from mtmed.registry import find, names

# DICOM modalities that say nothing of the body part
UNSPECIFIC = ("RG", "RF", "OT", "SC", "PX", "XA")
# those of PS3.3 C.7.3.1.1.1 that archives hold most; none is of use here, and each may be named in an error
OTHERS = (
    *("CT", "MR", "PT", "NM", "BI", "ES", "ECG", "IVUS", "OCT", "OP", "SM"),
    *("SR", "PR", "KO", "SEG", "RTIMAGE", "RTDOSE"),
)


def expect(modality: str) -> None:
    """Check that there is such a modality.

    Raises:
        UserError: there is none; the message lists what exists and the nearest name.
    """
    if modality not in names(__name__):
        raise unknown("modality", modality, names(__name__))


def of_dicom(code: str | None) -> str | None:
    """The modality that a DICOM Modality (0008,0060) names, or None: it names none of ours, or no body part."""
    return next((name for name in names(__name__) if code in find(__name__, name, "modality").DICOM), None)


def of_view(view: str) -> str | None:
    """The modality that has a view of this name, or None."""
    return next((name for name in names(__name__) if view.upper() in find(__name__, name, "modality").VIEWS), None)


def accepts(modality: str, code: str | None) -> bool:
    """Whether a file of the DICOM modality `code` may be an image of `modality`; without a code it may."""
    return code is None or code in UNSPECIFIC or of_dicom(code) == modality


def nameable(code: str | None) -> str:
    """A DICOM modality for an error: only if it is one, for a header may hold a person's name anywhere."""
    known = [c for name in names(__name__) for c in find(__name__, name, "modality").DICOM]
    return code if code and code in (*known, *UNSPECIFIC, *OTHERS) else "something else"
