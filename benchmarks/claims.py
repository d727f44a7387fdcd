"""Every claim about models and training, judged by the committed rows of benchmarks/results.

    python -m benchmarks.claims               # print the verdicts
    python -m benchmarks.claims --write       # and make the tables and the figures of docs/results.md again
    python -m benchmarks.claims --strict      # exit 1 unless all hold

What is not measured, or not as often as the protocol says, never holds. benchmarks/evidence/claimed.py has the claims,
docs/decisions/0022 the statistics.
"""

import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.evidence.claimed import claims
from benchmarks.evidence.page import DRAWINGS, ELSEWHERE, hidden, rewritten
from benchmarks.evidence.verdict import HOLDS, judge
from benchmarks.evidence.verdict_table import verdict_tables
from benchmarks.result_rows import FOLDER, names, read
from mtmed.errors import UserError

PAGE = Path(__file__).parents[1] / "docs" / "results.md"


def main(
    write: Annotated[bool, typer.Option(help="make the parts of the page, and its figures, again")] = False,
    strict: Annotated[bool, typer.Option(help="exit 1 unless every claim holds")] = False,
    results: Annotated[Path, typer.Option(help="the folder of rows")] = FOLDER,
    page: Annotated[Path, typer.Option(help="the page whose parts are made")] = PAGE,
) -> None:
    """Print the verdicts."""
    try:
        rows = read_all(results)
        verdicts = judge(claims(), rows)
        print(verdict_tables(verdicts))
        if write:
            _write(page, rows)
    except UserError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    if strict and any(verdict.word != HOLDS for verdict in verdicts):
        raise typer.Exit(1)


def read_all(folder: Path = FOLDER) -> dict[str, pd.DataFrame]:
    """The rows of every experiment, by its name, but of those that have programs of their own."""
    return {name: read(name, folder) for name in names(folder) if name not in ELSEWHERE}


def _write(page: Path, rows: dict[str, pd.DataFrame]) -> None:
    text = rewritten(page.read_text(), rows)
    page.write_text(text)
    for drawing in DRAWINGS:
        drawing.save(rows, page.parent)
    if missing := hidden(text, rows):
        print(f"{page.name} shows nothing of {', '.join(missing)}: add parts for them", file=sys.stderr)


if __name__ == "__main__":
    typer.run(main)
