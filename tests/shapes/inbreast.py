"""INbreast as its archive unpacks: five images of two patients, four of them with contours."""

import plistlib
from pathlib import Path

from tests.shapes import picture, write_dicom, write_lines

HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
ROWS = (
    "removed;removed;R;CC;201001;20586908;4;5",
    "removed;removed;L;CC;201001;20586934;4;1",
    "removed;removed;R;MLO;201001;20586960;2;4a",
    "removed;removed;L;FB;200801;22580192; ;3",
    "removed;removed;L;MLO;200801;22580218;1;2",
)
FILES = (
    "20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm",
    "20586934_6c613a14b80a8591_MG_L_CC_ANON.dcm",
    "20586960_6c613a14b80a8591_MG_R_ML_ANON.dcm",
    "22580192_5530d5782fc89dd7_MG_L_FB_ANON.dcm",
    "22580218_5530d5782fc89dd7_MG_L_ML_ANON.dcm",
)
SQUARE = ((10.0, 20.0), (20.0, 20.0), (20.0, 40.0), (10.0, 40.0))
CONTOURS = {
    "20586908": (("Mass", SQUARE), ("Calcification", ((30.25, 50.5),))),
    "20586960": (
        ("Cluster", ((5, 5), (15, 5), (10, 12))),
        ("Distortion", ((20, 5), (30, 5), (25, 12))),
        ("Assymetry", ((5, 25), (15, 25), (10, 32))),
        ("Espiculated Region", ((20, 25), (30, 25), (25, 32))),
    ),
    "22580192": (("Point 1", ((24.0, 32.0),)), ("Mass", SQUARE)),
    "22580218": (("Calcifications", ((3.0, 3.0), (6.0, 3.0))),),
}


def write(folder: Path) -> None:
    write_lines(folder / "INbreast.csv", HEADER, *ROWS)
    for seed, name in enumerate(FILES):
        write_dicom(folder / "AllDICOMs" / name, picture(seed, top=4095), "MG", ViewPosition="CC")
    for image, contours in CONTOURS.items():
        write_contours(folder / f"AllXML/{image}.xml", *contours)


def write_contours(path: Path, *contours: tuple[str, tuple[tuple[float, float], ...]]) -> None:
    """A property list as OsiriX exports contours: (name, points) each."""
    rois = [_roi(number, name, points) for number, (name, points) in enumerate(contours)]
    image = {"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(plistlib.dumps({"Images": [image]}, fmt=plistlib.FMT_XML))


def _roi(number: int, name: str, points: tuple[tuple[float, float], ...]) -> dict[str, object]:
    return {
        "Area": 0.0,
        "Center": "(0.000000, 0.000000, 0.000000)",
        "IndexInImage": number,
        "Name": name,
        "NumberOfPoints": len(points),
        "Point_mm": [f"({0.07 * x:f}, {0.07 * y:f}, 0.000000)" for x, y in points],
        "Point_px": [f"({x:f}, {y:f})" for x, y in points],
        "Type": 15 if len(points) > 1 else 19,
    }
