"""What a site keeps for itself between the rounds of one federation: its optimiser's moments, which never travel, and,
where models travel in few bits, what the coordinator has of it and what was rounded off."""

from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree

from safetensors.torch import load_file, save_file
from torch import Tensor

from mtmed.training.optimizer import Moments

KINDS = ("moments", "sent", "residual")


class Memory:
    """A folder in the site's own state for one kind of thing in the federation `run`, with a file per round.

    The last two rounds are kept: a round that is asked for again starts from the one before it, and gives the same
    update. Nothing is kept of a federation that was evaluated: it has no further round.
    """

    def __init__(self, state: Path, run: str, kind: str = "moments") -> None:
        self.folder = state / kind / run

    def read(self, round: int) -> Moments:
        """That with which a round starts; empty where the site did not take part in the one before it."""
        path = self._path(round - 1)
        return dict(load_file(path)) if path.is_file() else {}

    def write(self, round: int, kept: Mapping[str, Tensor]) -> None:
        """Keep that with which a round ended, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self._path(round).with_suffix(".part")
        save_file(dict(kept), part)
        part.replace(self._path(round))
        self._path(round - 2).unlink(missing_ok=True)

    def forget(self) -> None:
        """Keep nothing."""
        if self.folder.is_dir():
            rmtree(self.folder)

    def _path(self, round: int) -> Path:
        return self.folder / f"{round:03d}.safetensors"
