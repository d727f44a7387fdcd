"""What the writer and a modality's file say to each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from mtmed.phantoms._shapes import Rng
from mtmed.types import Array


@dataclass(frozen=True)
class Exam:
    """What is known of an image before it is drawn.

    Attributes:
        name: of the image; `patient`: whose it is.
        seeds: (the site's seed, patient, image); the image's generator has no others.
        finding: normal, or one of the modality's findings.
        laterality: L or R, empty where the modality has none.
        contrast: of lesions, 1 where they are easily seen.
        attributes: {column: word} of what else is known of the patient.
    """

    name: str
    patient: str
    seeds: tuple[int, int, int]
    finding: str
    view: str
    laterality: str
    device: str
    contrast: float
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Lesion:
    """A finding as a reader draws it.

    Attributes:
        label: what its box says.
        mask: [S,S] bool.
        measured: whether its diameter means anything.
    """

    label: str
    mask: Array
    measured: bool = True


@dataclass(frozen=True)
class Drawing:
    """An image and all that is in it.

    Attributes:
        image: [S,S] brightness as the scanner sees it, about 0..1, before noise.
        side_mm: the length of its side, from which its pixel spacing follows.
        lesions: what was found.
        masks: {structure: [S,S] bool} of the modality's `structures`.
    """

    image: Array
    side_mm: float
    lesions: Sequence[Lesion] = ()
    masks: Mapping[str, Array] = field(default_factory=dict)

    def mirrored(self) -> "Drawing":
        """The other side."""
        lesions = [Lesion(x.label, x.mask[:, ::-1], x.measured) for x in self.lesions]
        masks = {name: mask[:, ::-1] for name, mask in self.masks.items()}
        return Drawing(self.image[:, ::-1], self.side_mm, lesions, masks)


@dataclass(frozen=True)
class Modality:
    """What is particular to a modality; its file in this package calls it PHANTOM.

    Attributes:
        findings: {label: how often, relative to the others} of abnormal patients.
        views: a patient has at most one image of each.
        devices: the scanners that a hospital may have; each patient was at one of them.
        draw: an image; it may draw random numbers from its generator only.
        describe: adds to a file what DICOM wants of this modality, SOPClassUID and Modality at least, given the
            millimetres per pixel.
        lateral: whether an image is of one side.
        patient: {column: word} of a patient with a finding; `columns` are its keys.
        structures: what `Drawing.masks` holds; the manifest has a column `<structure>_mask` for each.
        rescale: slope and intercept from stored values to those that a window is given in.
    """

    findings: Mapping[str, float]
    views: Sequence[str]
    devices: Sequence[str]
    draw: Callable[[Rng, Exam, int], Drawing]
    describe: Callable[[Dataset, Exam, float], None]
    lateral: bool = False
    columns: Sequence[str] = ()
    patient: Callable[[Rng, str], dict[str, str]] = lambda _rng, _finding: {}
    structures: Sequence[str] = ()
    rescale: tuple[float, float] = (1.0, 0.0)
