"""A table is read row by row, and what is wrong with it is told with its place."""

import os

import psutil
import pytest

from mtmed.data.table import grouped, read_table
from mtmed.errors import UserError


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_rows_come_stripped_and_as_often_as_they_are_asked_for(tmp_path):
    table = read_table(write(tmp_path / "a.csv", "\ufeffa, b\n 1 ,2\n\n3,4\n"), ["b"])
    assert table.columns == ("a", "b")
    assert list(table) == list(table) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_columns_without_a_name_at_the_end(tmp_path):
    """ChestX-ray14's boxes: a header of nine names, three of them empty, over rows of six cells."""
    table = read_table(write(tmp_path / "a.csv", "a,b,,,\n1,2\n3,4,,,\n"), ["a"])
    assert list(table) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_another_separator_that_is_expected(tmp_path):
    assert list(read_table(write(tmp_path / "a.csv", "a;b\n1;x,y\n"), ["a"], ";")) == [{"a": "1", "b": "x,y"}]


@pytest.mark.parametrize(
    ("text", "encoding", "reason"),
    [
        ("a;b\n1;2\n", "utf-8", "expected columns separated by ',', found ';'"),
        ("a\tb\n1\t2\n", "utf-8", r"expected columns separated by ',', found '\\t'"),
        ("a,b\n1,Müller\n", "latin-1", "is not a CSV file in UTF-8"),
        ("a,b\n1,2\n", "utf-16", "is not a CSV file in UTF-8"),
        ("x,y\n1,2\n", "utf-8", "no column 'a'; found 'x', 'y'"),
        ("", "utf-8", "an empty line or file"),
        ("a,b\n1\n", "utf-8", "line 2: expected 2 cells as in the header, found 1"),
        ("a,b\n1,2,3\n", "utf-8", "line 2: expected 2 cells as in the header, found 3"),
        ("a,b\n1," + "x" * 17_000_000 + "\n", "utf-8", "field larger than field limit"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, text, encoding, reason):
    with pytest.raises(UserError, match=reason) as caught:
        list(read_table(write(tmp_path / "a.csv", text, encoding), ["a"]))
    assert len(str(caught.value)) < 400
    assert "Müller" not in str(caught.value)


def test_no_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError, match=r"no table at .*expected a CSV file with the columns a, b"):
            read_table(path, ["a", "b"])


def test_a_million_rows_do_not_fill_memory(tmp_path):
    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write("image,patient_id\n")
        file.writelines(f"images/{n}.png,patient {n}\n" for n in range(1_000_000))
    before = psutil.Process(os.getpid()).memory_info().rss
    count = sum(1 for _ in read_table(path, ["image"]))
    assert count == 1_000_000
    assert psutil.Process(os.getpid()).memory_info().rss - before < 30e6


def test_rows_by_a_column_in_order(tmp_path):
    table = read_table(write(tmp_path / "a.csv", "a,b\ny,1\nx,2\ny,3\n"), ["a"])
    assert {k: [r["b"] for r in v] for k, v in grouped(table, "a").items()} == {"y": ["1", "3"], "x": ["2"]}
