"""The unfinished preparation of a site, in pieces that are done or not: a killed one goes on where it was.

A piece is a shard and a record of what the shard does not hold: refusals, flags, names, hashes. The record is written
last; a piece without one was not finished and is made again.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from shutil import copyfile, rmtree
from typing import Any

from mtmed.data import store
from mtmed.errors import UserError

UNFINISHED, SAME = "unfinished", "fingerprint"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold `folder`, so that two preparations never make the same samples.

    Raises:
        UserError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)  # ends with the process, whatever ends that
    except BlockingIOError:
        raise UserError(f"another preparation is at work in {folder}: wait for it, or end it") from None


class Work:
    """Pieces in a folder of their own, which is emptied when they were made from something else."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        if not (folder / SAME).is_file() or (folder / SAME).read_text() != fingerprint:
            rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, mode=0o700)  # a record holds the site's own names
            store.write_text(folder / SAME, fingerprint)

    def shard(self, number: int) -> Path:
        """Where the shard of a piece lies; a piece of which nothing can be used has none."""
        return self.folder / store.shard_name(number)

    def record(self, number: int) -> dict[str, Any] | None:
        """The record of a finished piece, or None: it was not finished, or its shard was moved away already."""
        path = self._record(number)
        if not path.is_file():
            return None
        record = dict(json.loads(path.read_text()))
        return record if self.shard(number).is_file() or not record["hashes"] else None

    def finish(self, number: int, rows: list[store.Row], record: dict[str, Any]) -> None:
        """Keep a piece."""
        if rows:
            store.write_shard(self.shard(number), rows)
        store.write_text(self._record(number), json.dumps(record))

    def records(self, count: int) -> Iterator[dict[str, Any]]:
        """The records of the first `count` pieces."""
        return (json.loads(self._record(number).read_text()) for number in range(count))

    def hand_over(self, out: Path, count: int) -> None:
        """Put the shards into `out` and list them there; they stay here until `clear`, for a kill may come between.

        Meanwhile `out` has no index: samples that are half the old ones and half the new cannot be read.
        """
        out.mkdir(parents=True, exist_ok=True)
        (out / store.INDEX).unlink(missing_ok=True)
        for old in out.glob("samples-*.safetensors"):
            old.unlink()
        made = [self.shard(number) for number in range(count) if self.shard(number).is_file()]
        for number, shard in enumerate(made):
            _link(shard, out / store.shard_name(number))
        store.write_index(out, [store.shard_name(number) for number in range(len(made))])

    def clear(self) -> None:
        """Forget the pieces."""
        rmtree(self.folder)

    def _record(self, number: int) -> Path:
        return self.folder / f"piece-{number:05d}.json"


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        copyfile(source, target)


def listing(raw: Path) -> str:
    """A hash over the names, sizes and times of all files below `raw`: what a preparation was made from."""
    whole, seen = hashlib.sha256(), set[tuple[int, int]]()
    for folder, below, files in os.walk(raw, followlinks=True):
        place = Path(folder).stat()
        if (place.st_dev, place.st_ino) in seen:  # a link to a folder above would never end
            below.clear()
            continue
        seen.add((place.st_dev, place.st_ino))
        below.sort()
        for name in sorted(files):
            path = Path(folder) / name
            found = path.stat() if path.exists() else path.lstat()  # a link's target may change; or be missing
            whole.update(os.fsencode(path) + f"\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return whole.hexdigest()
