"""What a site keeps for itself between the rounds of one federation: its optimiser's moments. They never travel."""

from pathlib import Path

from safetensors.torch import load_file, save_file

from mtmed.training.optimizer import Moments


class Memory:
    """A folder of the site's own state, with a file per round.

    The last two rounds are kept: a round that is asked for again starts from the one before it, and gives the same
    update.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

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

    def _path(self, round: int) -> Path:
        return self.folder / f"{round:03d}.safetensors"
