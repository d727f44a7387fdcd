"""A CSV file as rows of text; what is wrong with it is said in one line, with its place."""

import csv
from collections.abc import Iterable
from pathlib import Path

from mtmed.errors import UserError, unknown

SEPARATORS = ";\t|"

Row = dict[str, str]


def read_table(path: Path, required: Iterable[str]) -> list[Row]:
    """The rows of a comma-separated file with a header, cells stripped of blanks.

    Raises:
        UserError: no file, not UTF-8, another separator, a missing column, a row of another length.
    """
    if not path.is_file():
        raise UserError(f"no manifest at {path}: expected a CSV file with one row per image")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8: {error}") from error
    header = [cell.strip() for cell in lines[0]] if lines else []
    _expect_columns(path, header, required)
    return [_row(path, header, number, cells) for number, cells in enumerate(lines[1:], 2) if cells]


def _expect_columns(path: Path, header: list[str], required: Iterable[str]) -> None:
    missing = [name for name in required if name not in header]
    if not missing:
        return
    separator = next((s for s in SEPARATORS if len(header) <= 1 and s in "".join(header)), None)
    if separator:
        raise UserError(f"{path}: expected columns separated by ',', found {separator!r}")
    raise UserError(f"{path}: {unknown('column', missing[0], header or ['(an empty file)'])}")


def _row(path: Path, header: list[str], number: int, cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise UserError(f"{path} line {number}: expected {len(header)} cells as in the header, found {len(cells)}")
    return {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
