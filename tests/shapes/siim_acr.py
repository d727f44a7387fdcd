"""SIIM-ACR Pneumothorax as downloaded from its DICOM store: five films, two with drawings, one without a row."""

from pathlib import Path

import numpy as np

from tests.shapes import picture, write_dicom, write_lines

IDS = [f"1.2.276.0.7230010.3.1.4.8323329.{300 + n}.1517875162.25808{n}" for n in range(5)]
# down the columns of 1024: rows 2 to 4 of column 2, rows 2 to 5 of column 3; and, drawn apart, row 0 of column 4
DRAWN = ("2050 3 1021 4", "4096 1")
ROWS = (
    "ImageId, EncodedPixels",
    f"{IDS[0]}, -1",
    f"{IDS[1]},{DRAWN[0]}",
    f"{IDS[1]},{DRAWN[1]}",
    f"{IDS[2]}, -1",
    f"{IDS[3]}, 524800 10 1014 10",
)


def mask() -> np.ndarray:
    """[1024,1024] bool: both drawings of the second film."""
    drawn = np.zeros((1024, 1024), bool)
    drawn[2:5, 2] = drawn[2:6, 3] = drawn[0, 4] = True
    return drawn


def path(number: int) -> str:
    """Where a film is, as the DICOM store names it: study, series, image."""
    middle, last = IDS[number].split(".4.8323329.")[1].rsplit(".", 1)
    study, series = (f"1.2.276.0.7230010.3.1.{n}.8323329.{middle}.{int(last) - n}" for n in (2, 3))
    return f"dicom-images-train/{study}/{series}/{IDS[number]}.dcm"


def write(folder: Path) -> None:
    write_lines(folder / "train-rle.csv", *ROWS)
    for number in range(len(IDS)):
        # noise is slow to make; run lengths want the true size
        film = np.tile(picture(number, 64, 64), (16, 16))
        write_dicom(folder / path(number), film, "CR", ViewPosition="PA")
