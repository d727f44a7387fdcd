"""The archives of a data set -> its folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mtmed.data.archive import Limits, unpack


def unpack_archive(archives: Sequence[Path], out: Path, limits: Limits, progress: Callable[[str], None]) -> str:
    """Unpack `archives` into the new folder `out`; a line that says what came.

    Raises:
        UserError: an archive is damaged, hostile or none; `out` holds something already. Then nothing is left.
    """
    files, size = unpack(archives, out, limits, progress)
    amount = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
    return f"{out}: {files} file{'s' if files > 1 else ''}, {amount}"
