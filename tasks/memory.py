"""What a site keeps for itself between the rounds of one federation: its optimiser's moments. They never travel."""

from pathlib import Path
from shutil import rmtree

from safetensors.torch import load_file, save_file

from mtmed.training.optimizer import Moments


class Memory:
    """A folder in the site's own state for the federation `run`, with a file per round.

    The last two rounds are kept: a round that is asked for again starts from the one before it, and gives the same
    update. Nothing is kept of a federation that was evaluated: it has no further round.
    """

    def __init__(self, state: Path, run: str) -> None:
        self.folder = state / "moments" / run

    def read(self, round: int) -> Moments:
        """The moments with which a round starts; empty where the site did not take part in the one before it."""
        path = self._path(round - 1)
        return dict(load_file(path)) if path.is_file() else {}

    def write(self, round: int, kept: Moments) -> None:
        """Keep the moments after a round, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self._path(round).with_suffix(".part")
        save_file(kept, part)
        part.replace(self._path(round))
        self._path(round - 2).unlink(missing_ok=True)

    def forget(self) -> None:
        """Keep nothing."""
        if self.folder.is_dir():
            rmtree(self.folder)

    def _path(self, round: int) -> Path:
        return self.folder / f"{round:03d}.safetensors"
