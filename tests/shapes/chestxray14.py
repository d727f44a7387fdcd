"""ChestX-ray14 as its archives unpack: seven films of five patients in two folders, smaller than 1024 pixels."""

from pathlib import Path

from tests.shapes import picture, write_lines, write_picture

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
ROWS = (
    "00000001_000.png,Cardiomegaly,0,1,57,M,PA,2682,2749,0.143,0.143,",
    "00000001_001.png,Cardiomegaly|Emphysema,1,1,58,M,PA,2894,2729,0.143,0.143,",
    "00000002_000.png,No Finding,0,2,80,M,PA,2500,2048,0.171,0.171,",
    "00000150_002.png,Atelectasis|Infiltration|Pneumonia,2,150,55,F,AP,3056,2544,0.139,0.139,",
    "00000150_003.png,Effusion,3,150,55,F,AP,3056,2544,0.139,0.139,",
    "00013118_008.png,Pleural_Thickening|Mass,8,13118,69,M,PA,2056,2544,0.139,0.139,",
    "00030805_000.png,No Finding,0,30805,27,M,PA,2048,2500,0.171,0.171,",
)
BOXES = (
    "Image Index,Finding Label,Bbox [x,y,w,h],,,",
    "00000150_002.png,Pneumonia,512.0,256.0,128.0,64.5,,,",
    "00000150_002.png,Infiltrate,0.0,0.0,1024.0,1024.0,,,",
    "00013118_008.png,Mass,225.084745762712,547.019216763771,86.7796610169491,79.1864406779661,,,",
)
IMAGES = [row.split(",")[0] for row in ROWS]
TEST = IMAGES[3:6]
FOLDERS = ("images_001/images", "images_012/images")


def write(folder: Path, folders: tuple[str, ...] = FOLDERS, height: int = 64, width: int = 64) -> None:
    write_lines(folder / "Data_Entry_2017_v2020.csv", HEADER, *ROWS)
    write_lines(folder / "BBox_List_2017.csv", *BOXES)
    write_lines(folder / "train_val_list.txt", *(name for name in IMAGES if name not in TEST))
    write_lines(folder / "test_list.txt", *TEST)
    for number, name in enumerate(IMAGES):
        place = folders[number * len(folders) // len(IMAGES)]
        write_picture(folder / place / name, picture(number, height, width))
