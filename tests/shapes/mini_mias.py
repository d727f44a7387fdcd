"""mini-MIAS as its archive unpacks: eight films of four patients, and a film that somebody edited."""

from pathlib import Path

from tests.shapes import picture, write_picture

HEADER = (
    "              MAMMOGRAPHIC IMAGE ANALYSIS SOCIETY",
    "                  MiniMammographic Database",
    "",
    "1st column: MIAS database reference number.",
    "Coordinate system origin is the bottom-left corner.",
    "=================================================================",
    "",
)
ROWS = (
    "mdb001 G CIRC B 535 425 197",
    "mdb002 G NORM ",
    "mdb005 F CIRC B 477 133 30",
    "mdb005 F CIRC B 500 168 26",
    "mdb006 F NORM",
    "mdb059 F CIRC B",
    "mdb060 F ARCH M 300 1020 3",
    "mdb215 D ASYM B 200 300 20",
    "mdb216 D CALC M *NOTE 3* ",
)
FILMS = tuple(dict.fromkeys(row.split()[0] for row in ROWS))
PGM = 1024


def write(folder: Path, rows: tuple[str, ...] = ROWS, suffix: str = ".pgm") -> None:
    write_table(folder, *rows)
    for seed, film in enumerate(FILMS):
        write_picture(folder / f"{film}{suffix}", picture(seed, PGM, PGM))
    write_picture(folder / "mdb001_pectoral_removed.pgm", picture(99, PGM, PGM))


def write_table(folder: Path, *rows: str) -> None:
    """Info.txt with the line ends of 1995."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Info.txt").write_bytes("\r\n".join((*HEADER, *rows, "")).encode())
