"""Figures of the docs: each says inside which values it was drawn from, so that a test sees when it is old."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from mtmed.evaluation.style import STYLE

DIGEST = "Description"  # of the PNG

Rows = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Drawing:
    """A figure of the docs.

    Attributes:
        file: its name, beside the page.
        size: in inches.
        shown: what of the rows it shows, as plain values; empty where nothing ran.
        draw: those values into an empty figure.
    """

    file: str
    size: tuple[float, float]
    shown: Callable[[Rows], Any]
    draw: Callable[[Figure, Any], None]

    def save(self, rows: Rows, folder: Path) -> None:
        """Draw it, the same bytes every time; nothing where nothing ran."""
        shown = self.shown(rows)
        if not shown:
            return
        with matplotlib.rc_context(STYLE):
            figure = Figure(figsize=self.size, layout="constrained")
            self.draw(figure, shown)
            figure.savefig(folder / self.file, dpi=120, metadata={"Software": None, DIGEST: self.digest(rows)})

    def digest(self, rows: Rows) -> str:
        """Of the values that it shows."""
        return sha256(repr(self.shown(rows)).encode()).hexdigest()

    def markdown(self, rows: Rows) -> str:
        """The picture on a page; empty where nothing ran."""
        title = Path(self.file).stem.replace("_", " ").capitalize()
        return f"![{title}]({self.file})" if self.shown(rows) else ""


def drawn_from(path: Path) -> str:
    """The digest of the values that a figure was drawn from."""
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info[DIGEST])
