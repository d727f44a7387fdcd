"""CBIS-DDSM as NBIA downloads it: six films of five patients, one of them in a table of each kind."""

from pathlib import Path

import numpy as np

from tests.shapes import picture, write_dicom, write_lines

TAIL = "abnormality id,abnormality type,{},assessment,pathology,subtlety,image file path,cropped image file path"
TAIL += ",ROI mask file path"
MASSES = "patient_id,breast_density,left or right breast,image view," + TAIL.format("mass shape,mass margins")
CALCIFICATIONS = "patient_id,breast density,left or right breast,image view," + TAIL.format(
    "calc type,calc distribution"
)
OLDER = (
    "patient_id,breast_density,side,view,abn_num,abnormality_type,mass_shape,mass_margins,assessment,pathology,"
    "subtlety,od_img_path,od_crop_path,mask_path"
)
UID = "1.3.6.1.4.1.9590.100.1.2"
HEIGHT, WIDTH = 64, 48

# table, patient, side, view, number, shape or type, pathology, assessment, density, box of the lesion (y, x, size)
LESIONS = (
    ("Mass-Training", 1, "LEFT", "CC", 1, "IRREGULAR-ARCHITECTURAL_DISTORTION", "MALIGNANT", 4, 3, (10, 5, 8)),
    ("Mass-Training", 1, "LEFT", "MLO", 1, "OVAL", "BENIGN", 3, 3, (20, 30, 6)),
    ("Mass-Training", 1, "LEFT", "MLO", 2, "FOCAL_ASYMMETRIC_DENSITY", "BENIGN", 3, 3, (40, 10, 5)),
    ("Mass-Test", 2, "RIGHT", "MLO", 1, "OVAL", "BENIGN", 2, 0, (30, 20, 9)),
    ("Calc-Training", 3, "RIGHT", "CC", 1, "PUNCTATE", "BENIGN_WITHOUT_CALLBACK", 2, 1, (50, 4, 3)),
    ("Mass-Test", 4, "LEFT", "CC", 1, "OVAL", "BENIGN", 4, 2, (12, 12, 6)),
    ("Calc-Training", 4, "LEFT", "CC", 1, "PLEOMORPHIC", "MALIGNANT", 5, 2, (44, 30, 4)),
    ("Calc-Test", 5, "RIGHT", "MLO", 1, "AMORPHOUS", "BENIGN", 0, 4, (5, 40, 4)),
)
FILMS = (
    *("P_00001_LEFT_CC", "P_00001_LEFT_MLO", "P_00002_RIGHT_MLO"),
    *("P_00004_LEFT_CC", "P_00003_RIGHT_CC", "P_00005_RIGHT_MLO"),
)


def film(lesion) -> str:
    table, patient, side, view, *_ = lesion
    return f"{table}_P_{patient:05d}_{side}_{view}"


def row(lesion, separator: str = "/", names: tuple[str, str] = ("000000.dcm", "000001.dcm")) -> str:
    """A row of a table; the last path ends in a line break, as in the original."""
    table, patient, side, view, number, kind, pathology, assessment, density, _ = lesion
    image = separator.join((film(lesion), f"{UID}.1", f"{UID}.2", names[0]))
    crop, mask = (separator.join((f"{film(lesion)}_{number}", f"{UID}.3", f"{UID}.4", name)) for name in names)
    what = "mass" if table.startswith("Mass") else "calcification"
    cells = [f"P_{patient:05d}", density, side, view, number, what, kind, "N/A", assessment, pathology, 4, image, crop]
    return ",".join(map(str, cells)) + f',"{mask}\n"'


def mask_of(lesion, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """[H,W] bool"""
    y, x, size = lesion[-1]
    mask = np.zeros(shape, bool)
    mask[y : y + size, x : x + size] = True
    return mask


def write(folder: Path, below: str = "CBIS-DDSM") -> None:
    write_tables(folder)
    for seed, lesion in enumerate(LESIONS):
        place = folder / below
        name = f"{UID}.1/{UID}.2/000000.dcm"
        write_dicom(place / film(lesion) / name, picture(seed, HEIGHT, WIDTH, 65535), "MG")
        case = place / f"{film(lesion)}_{lesion[4]}/{UID}.3/{UID}.4"
        write_dicom(case / "000000.dcm", picture(100 + seed, 20, 18, 65535), "MG")
        write_dicom(case / "000001.dcm", mask_of(lesion).astype(np.uint8) * 255, "MG")


def write_tables(folder: Path, lesions=LESIONS, **how) -> None:
    for kind, header in (("Mass", MASSES), ("Calc", CALCIFICATIONS)):
        for split, name in (("Training", "train"), ("Test", "test")):
            rows = [row(lesion, **how) for lesion in lesions if lesion[0] == f"{kind}-{split}"]
            write_lines(folder / f"{kind.lower()}_case_description_{name}_set.csv", header, *rows)
