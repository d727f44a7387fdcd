"""VinDr-Mammo as its archive unpacks: ten images of three studies."""

from pathlib import Path

from tests.shapes import picture, write_dicom, write_lines

HEADER = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,"
    "finding_categories,finding_birads,xmin,ymin,xmax,ymax,split"
)
STUDIES = [f"{n:032x}" for n in range(0xA0, 0xA3)]
IMAGES = [f"{n:032x}" for n in range(0xB0, 0xBA)]
HEIGHT, WIDTH = 64, 48
RETRACTIONS = "['Skin Retraction', 'Nipple Retraction', 'Skin Thickening']"


def row(
    image: int,
    study: int,
    side: str,
    view: str,
    assessment: int,
    findings: str = "['No Finding']",
    finding: str = "",
    box: tuple[float, ...] = (),
    split: str = "training",
    density: str = "C",
) -> str:
    cells = [STUDIES[study], "5" * 32, IMAGES[image], side, view, HEIGHT, WIDTH, f"BI-RADS {assessment}"]
    cells += [f"DENSITY {density}", f'"{findings}"' if "," in findings else findings, finding, *(box or [""] * 4)]
    return ",".join(str(cell) for cell in [*cells, split])


ROWS = (
    row(0, 0, "L", "CC", 4, "['Mass']", "BI-RADS 4", (10.5, 20.25, 20.0, 40.0)),
    row(0, 0, "L", "CC", 4, "['Suspicious Calcification', 'Focal Asymmetry']", "BI-RADS 3", (-3.5, 5.0, 12.0, 70.25)),
    row(1, 0, "L", "MLO", 4),
    row(2, 0, "R", "CC", 1),
    row(3, 0, "R", "MLO", 1),
    row(4, 1, "L", "CC", 2, density="A", split="test"),
    row(5, 1, "L", "MLO", 2, density="A", split="test"),
    row(6, 1, "R", "CC", 3, "['Global Asymmetry']", "BI-RADS 3", (2, 2, 30, 30), density="A", split="test"),
    row(7, 1, "R", "MLO", 3, "['Architectural Distortion']", "BI-RADS 3", (2, 2, 30, 30), density="A", split="test"),
    row(8, 2, "R", "MLO", 5, "['Suspicious Lymph Node']", "", (1, 1, 9, 9)),
    row(9, 2, "R", "CC", 5, RETRACTIONS, "BI-RADS 5", (4, 4, 40, 60)),
    row(9, 2, "R", "CC", 5, "['Mass']", "BI-RADS 5", (5, 5, 9, 9)),
)
METADATA = (
    "SOP Instance UID,Patient's Age,Manufacturer,Manufacturer's Model Name,Window Center",
    f"{IMAGES[0]},053Y,SIEMENS,Mammomat Inspiration,\"['2047', '1000']\"",
    f"{IMAGES[9]},,PLANMED,Planmed Nuance,540",
)


def write(folder: Path, metadata: bool = True) -> None:
    write_lines(folder / "finding_annotations.csv", HEADER, *ROWS)
    if metadata:
        write_lines(folder / "metadata.csv", *METADATA)
    studies = {line.split(",")[2]: line.split(",")[0] for line in ROWS}
    for seed, (image, study) in enumerate(studies.items()):
        write_dicom(folder / f"images/{study}/{image}.dicom", picture(seed, HEIGHT, WIDTH, 4095), "MG")
