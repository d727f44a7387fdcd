"""A CSV file as rows of text, read as they are asked for; what is wrong is said in one line, with its place."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mtmed.errors import UserError, nearest

SEPARATORS = ",;\t|"
csv.field_size_limit(16_000_000)  # characters of a cell; run lengths and boxes are longer than Python's limit

Row = dict[str, str]


@dataclass(frozen=True)
class Table:
    """A table on disk: its `columns`, and its rows by iteration, one at a time and from the start each time."""

    path: Path
    columns: tuple[str, ...]
    separator: str = ","

    def __iter__(self) -> Iterator[Row]:
        """Rows as {column: cell}, cells stripped of blanks; empty lines are left out.

        Raises:
            UserError: not UTF-8, or a row of another length.
        """
        lines = _lines(self.path, self.separator)
        next(lines)
        for number, cells in enumerate(lines, 2):
            if cells:
                yield self._row(number, cells)

    def _row(self, number: int, cells: list[str]) -> Row:
        wide = len(self.columns)
        if len(cells) < wide or any(cell.strip() for cell in cells[wide:]):
            raise UserError(f"{self.path} line {number}: expected {wide} cells as in the header, found {len(cells)}")
        return {name: cell.strip() for name, cell in zip(self.columns, cells, strict=False)}


def read_table(path: Path, required: Iterable[str], separator: str = ",") -> Table:
    """The table of a CSV file with a header; nothing but the header is read yet.

    Raises:
        UserError: no file, not UTF-8, another separator or a missing column.
    """
    if not path.is_file():
        raise UserError(f"no table at {path}: expected a CSV file with the columns {', '.join(required)}")
    header = [cell.strip() for cell in next(_lines(path, separator), [])]
    while header and not header[-1]:  # columns without a name, as at the end of ChestX-ray14's boxes
        header.pop()
    _expect_columns(path, header, required, separator)
    return Table(path, tuple(header), separator)


def grouped(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    """Rows by the value of a column, in the order of their first appearance."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return dict(groups)


def _lines(path: Path, separator: str) -> Iterator[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.reader(file, delimiter=separator)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8: save it as 'CSV UTF-8'; {error}") from error


def _expect_columns(path: Path, header: list[str], required: Iterable[str], separator: str) -> None:
    missing = [name for name in required if name not in header]
    if not missing:
        return
    other = next((s for s in SEPARATORS if s != separator and len(header) <= 1 and s in "".join(header)), None)
    if other:
        raise UserError(
            f"{path}: expected columns separated by {separator!r}, found {other!r}: save it with the former"
        )
    if not any(header):
        raise UserError(
            f"{path}: expected a header with the columns {', '.join(required)}, found an empty line or file"
        )
    near = nearest(missing[0], header)
    hint = f"; is it {near!r}?" if near else ""
    raise UserError(f"{path}: no column {missing[0]!r}; found {', '.join(map(repr, header))}{hint}")
