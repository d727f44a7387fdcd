"""COVID-QU-Ex as Kaggle's archive unpacks: each part nested twice, films of the infection part in both."""

from pathlib import Path

import numpy as np

from tests.shapes import picture, write_picture

SIDE = 256
LUNG = "Lung Segmentation Data/Lung Segmentation Data"
INFECTION = "Infection Segmentation Data/Infection Segmentation Data"
BIMCV = "sub-S09345_ses-E18672_run-1_bp-chest_vp-ap_dx.png"
# (split, class, file), the second three in both parts
FILMS = (
    ("Train", "COVID-19", BIMCV),
    ("Val", "Non-COVID", "non_COVID (7).png"),
    ("Test", "Normal", "Normal (7).png"),
    ("Train", "COVID-19", "covid_1.png"),
    ("Train", "Non-COVID", "non_COVID (1).png"),
    ("Test", "Normal", "Normal (1).png"),
)
INFECTED = FILMS[3:]


def mask(top: int, left: int, size: int = 40) -> np.ndarray:
    """[256,256] uint8, 255 in a square."""
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    drawn[top : top + size, left : left + size] = 255
    return drawn


def write(folder: Path, lung: str = LUNG, infection: str = INFECTION) -> None:
    for seed, (split, group, name) in enumerate(FILMS):
        for part in (lung, infection) if (split, group, name) in INFECTED else (lung,):
            place = folder / part / split / group
            write_picture(place / "images" / name, picture(seed, SIDE, SIDE))
            write_picture(place / "lung masks" / name, mask(20, 20, 100))
            if part == infection:  # blank where there is no COVID-19
                write_picture(place / "infection masks" / name, mask(30, 30) * (group == "COVID-19"))
