"""What a study must be before a model sees it; each refusal is one line: what was expected, and what came."""

import numpy as np

from mtmed.errors import UserError
from mtmed.modalities import accepts, nameable
from mtmed.types import Array

SMALLEST = 16  # pixels on a side
LARGEST = 100_000_000  # pixels in all; a full-field mammogram has about 15 million


class BadStudy(UserError):
    """One study that cannot be used; preparation puts it into quarantine with this reason and goes on."""


def check_size(height: int, width: int) -> None:
    """Refuse images that are too small to show anything or too large to decode safely.

    Call it on the header, before the pixels are decoded.
    """
    if min(height, width) < SMALLEST:
        raise BadStudy(f"image too small: expected at least {SMALLEST} x {SMALLEST} pixels, got {height} x {width}")
    if height * width > LARGEST:
        raise BadStudy(f"image too large: expected at most {LARGEST // 10**6} megapixels, got {height} x {width}")


def check_image(image: Array) -> None:
    """Refuse an image [H,W] in 0..1 that holds no picture."""
    check_size(*image.shape)
    if not np.isfinite(image).all():
        raise BadStudy("image with values that are not finite numbers")
    low, high = np.percentile(image, [1, 99])
    # a picture of two small bright markers on black is blank too
    if high - low < 0.01 and image.std() < 0.01:
        raise BadStudy(f"blank image: expected contrast, got brightness {low:.3f} to {high:.3f} throughout")


def check_mask(mask: Array, image: Array) -> None:
    """Refuse a mask [..., H,W] that was not drawn on this image [H,W]."""
    if mask.shape[-2:] != image.shape:
        expected, got = (f"{h} x {w}" for h, w in (image.shape, mask.shape[-2:]))
        raise BadStudy(f"mask of another size: expected {expected} (rows x columns) as the image, got {got}")


def clip_boxes(xyxy: Array, height: int, width: int) -> Array:
    """Boxes [M,4] cut at the image's edge.

    Raises:
        BadStudy: a box that is wholly outside, empty or not finite: it was drawn on another image.
    """
    clipped = np.clip(xyxy, 0, [width, height, width, height])
    visible = (clipped[:, 2:] > clipped[:, :2]).all(axis=1) & np.isfinite(xyxy).all(axis=1)
    if not visible.all():
        box = ", ".join(f"{v:.0f}" for v in xyxy[~visible][0])
        raise BadStudy(f"box outside the image: expected x1 y1 x2 y2 within {width} x {height}, got {box}")
    return clipped.astype(np.float32)


def check_modality(expected: str, dicom: str | None) -> None:
    """Refuse a file whose DICOM modality contradicts what the data set says of it."""
    if accepts(expected, dicom):
        return
    raise BadStudy(f"wrong modality: expected {expected}, but DICOM says {nameable(dicom)}")
