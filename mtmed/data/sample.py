"""One raw study -> one sample, or the reason why not: the work that is done in parallel."""

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

import numpy as np
from PIL import Image

from mtmed.data import pixels, scanner, store
from mtmed.data.dicom_facts import is_view
from mtmed.data.geometry import Letterbox, letterbox
from mtmed.data.identity import pseudonym
from mtmed.data.likeness import perceptual_hash
from mtmed.data.quality import BadStudy, check_image, check_mask, check_modality
from mtmed.data.raw import RawStudy
from mtmed.data.split import split_of
from mtmed.specs import ScannerSpec, SplitSpec
from mtmed.types import Array, Study

THUMBNAIL = 128


@dataclass(frozen=True)
class Recipe:
    """What a site makes of its raw studies, besides what they are."""

    size: int
    split: SplitSpec
    key: bytes
    scanner: ScannerSpec | None = None


@dataclass(frozen=True)
class Made:
    """A sample: its row of a shard, what tells whether it is there already, and what to look at.

    Attributes:
        digest: of the picture at its own size, the same for the same pixels in any file.
        likeness: [16] uint16, the perceptual hash.
        flags: (kind, what) each.
    """

    row: store.Row
    digest: bytes
    likeness: Array
    flags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Refused:
    """A study that cannot be used, why, and its picture (PNG in base64) if there is one to look at."""

    reason: str
    thumbnail: str = ""


def make(raw: RawStudy, recipe: Recipe) -> Made | Refused:
    """What becomes of a study; it never raises for what is wrong with one."""
    picture = None
    try:
        picture = read_picture(raw)
        return _made(raw, picture, recipe)
    except BadStudy as error:
        return Refused(str(error), "" if picture is None else _thumbnail(picture.image))


def read_picture(raw: RawStudy) -> pixels.Picture:
    """The picture of a study, at its own size.

    Raises:
        BadStudy: it cannot be used.
    """
    if raw.fault:
        raise BadStudy(raw.fault)
    picture = pixels.read(raw.image)
    check_modality(raw.modality, picture.modality)
    check_image(picture.image)
    return picture


def _made(raw: RawStudy, picture: pixels.Picture, recipe: Recipe) -> Made:
    height, width = picture.image.shape
    box = letterbox(height, width, recipe.size)
    study = _study(raw, picture, box, recipe)
    flags = (("burned-in text", picture.burned_in),) if picture.burned_in else ()
    digest = sha256(np.ascontiguousarray(picture.image).data).digest()[:16]
    return Made(store.encode(study), digest, perceptual_hash(picture.image), flags)


def _study(raw: RawStudy, picture: pixels.Picture, box: Letterbox, recipe: Recipe) -> Study:
    image = box.image(picture.image)
    if recipe.scanner:
        image = scanner.simulate(image, recipe.scanner, raw.study)
    return Study(
        study=pseudonym(recipe.key, "study", raw.study),
        patient=pseudonym(recipe.key, "patient", raw.patient),
        modality=raw.modality,
        # by the patient's own name: at two sites a pseudonym differs, the fold must not
        split=split_of(raw.patient, recipe.split, raw.split),
        image=image,
        masks={head: _mask(load((box.height, box.width)), picture.image, box) for head, load in raw.masks.items()},
        boxes=_boxes(raw, box),
        values=raw.values,
        labelled=raw.labelled,
        spacing_mm=box.spacing(picture.spacing_mm or _spacing(raw.extent_mm, box)),
        view=view if is_view(view := raw.view.upper()) else picture.view,
        laterality=side if (side := raw.laterality.upper()[:1]) in ("L", "R") else picture.laterality,
    )


def _spacing(extent_mm: tuple[float, float] | None, box: Letterbox) -> tuple[float, float] | None:
    return None if extent_mm is None else (extent_mm[0] / box.height, extent_mm[1] / box.width)


def _mask(mask: Array, image: Array, box: Letterbox) -> Array:
    check_mask(mask, image)
    return np.stack([box.mask(plane) for plane in mask])


def _boxes(raw: RawStudy, box: Letterbox) -> dict[str, tuple[Array, Array]]:
    found = {head: raw.boxes_within(head, (box.height, box.width)) for head in raw.boxes}
    return {head: (box.boxes(xyxy), classes) for head, (xyxy, classes) in found.items()}


def _thumbnail(image: Array) -> str:
    grey = np.nan_to_num(image, nan=0, posinf=1, neginf=0).clip(0, 1) * 255
    picture = Image.fromarray(grey.astype(np.uint8))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = BytesIO()
    picture.save(stream, "PNG")
    return b64encode(stream.getvalue()).decode()
