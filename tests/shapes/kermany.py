"""Kermany's chest films as Kaggle's archive unpacks: the folder, the same once more inside, and a Mac's leftovers."""

from pathlib import Path

from tests.shapes import picture, write_lines, write_picture

FILMS = (
    "train/NORMAL/IM-0115-0001.jpeg",
    "train/NORMAL/NORMAL2-IM-0383-0001.jpeg",
    "train/NORMAL/NORMAL2-IM-0383-0001-0002.jpeg",
    "train/PNEUMONIA/person1_bacteria_1.jpeg",
    "train/PNEUMONIA/person1_bacteria_2.jpeg",
    "train/PNEUMONIA/person1000_bacteria_2931.jpeg",
    "train/PNEUMONIA/person1000_virus_1681.jpeg",
    "val/NORMAL/NORMAL2-IM-1427-0001.jpeg",
    "val/PNEUMONIA/person1946_bacteria_4874.jpeg",
    "test/NORMAL/IM-0001-0001.jpeg",
    "test/PNEUMONIA/person3_virus_15.jpeg",
)


def write(folder: Path) -> None:
    for seed, name in enumerate(FILMS):
        for copy in ("", "chest_xray/"):
            write_picture(folder / copy / name, picture(seed))
        place, file = name.rsplit("/", 1)
        write_lines(folder / "__MACOSX" / place / f"._{file}", "Mac OS X")
        write_lines(folder / place / ".DS_Store", "Mac OS X")
