"""The studies that every archive holds and no model may see: each is spoiled in one way."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image


def spoil(number: int, row: dict[str, str], folder: Path) -> None:
    """Damage the study of a manifest `row`; `number` chooses how, in turn."""
    WAYS[number % len(WAYS)](row, folder)


def _truncated(row: dict[str, str], folder: Path) -> None:
    path = folder / row["image"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _no_dicom(row: dict[str, str], folder: Path) -> None:
    (folder / row["image"]).write_text("<html><body>403 Forbidden: your session has expired</body></html>\n")


def _mask_of_another_size(row: dict[str, str], folder: Path) -> None:
    if not row["lesion_mask"]:
        return _box_outside(row, folder)
    Image.fromarray(np.full((50, 70), 255, np.uint8)).save(folder / row["lesion_mask"])
    return None


def _blank(row: dict[str, str], folder: Path) -> None:
    dataset = pydicom.dcmread(folder / row["image"])
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(folder / row["image"])


def _box_outside(row: dict[str, str], folder: Path) -> None:  # noqa: ARG001
    row["lesion_boxes"] = '[{"label": "malignant", "xywh": [9000.0, 9000.0, 40.0, 40.0]}]'


WAYS: tuple[Callable[[dict[str, str], Path], None], ...] = (
    _truncated, _no_dicom, _mask_of_another_size, _blank, _box_outside
)  # fmt: skip
