"""RSNA Pneumonia as its archive unpacks: six films of five patients."""

import json
from pathlib import Path

from tests.shapes import picture, write_dicom, write_lines

IDS = [f"{n:08x}-0000-4000-8000-00000000000{n}" for n in range(6)]
LABELS = (
    "patientId,x,y,width,height,Target",
    f"{IDS[0]},,,,,0",
    f"{IDS[1]},4.0,5.0,10.0,20.0,1",
    f"{IDS[1]},24.0,6.0,12.0,18.0,1",
    f"{IDS[2]},,,,,0",
    f"{IDS[3]},3.0,3.0,9.0,9.0,1",
    f"{IDS[4]},,,,,0",
    f"{IDS[5]},,,,,0",
)
CLASSES = (
    "patientId,class",
    f"{IDS[0]},No Lung Opacity / Not Normal",
    f"{IDS[1]},Lung Opacity",
    f"{IDS[1]},Lung Opacity",
    f"{IDS[2]},Normal",
    f"{IDS[3]},Lung Opacity",
    f"{IDS[4]},Normal",
    f"{IDS[5]},Normal",
)
PATIENTS = ["00000001_000", "00000002_000", "00000003_001", "00000004_000", "00000005_000", "00000005_002"]


def write(folder: Path, mapping: bool = True) -> None:
    write_lines(folder / "stage_2_train_labels.csv", *LABELS)
    write_lines(folder / "stage_2_detailed_class_info.csv", *CLASSES)
    for seed, name in enumerate(IDS):
        write_dicom(folder / f"stage_2_train_images/{name}.dcm", picture(seed), "CR", ViewPosition="PA")
    if mapping:
        entries = [{"subset_img_id": i, "img_id": f"{p}.png"} for i, p in zip(IDS, PATIENTS, strict=True)]
        (folder / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(entries))
