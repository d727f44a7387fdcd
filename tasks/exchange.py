"""How files travel between the sites and the coordinator: an fsspec address and keys below it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile

import fsspec
from fsspec.implementations.local import LocalFileSystem

from mtmed.errors import UserError


class Exchange:
    """A folder that the coordinator and the sites can reach: local, on a share, or in an object store."""

    def __init__(self, address: str) -> None:
        self.files, self.root = fsspec.core.url_to_fs(address)

    def put(self, key: str, data: bytes) -> int:
        """Write whole or not at all; the number of bytes."""
        path = self._path(key)
        self.files.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        part = f"{path}.part{os.getpid()}"
        self.files.pipe_file(part, data)
        self.files.mv(part, path)
        return len(data)

    def get(self, key: str) -> bytes:
        """The bytes of a key.

        Raises:
            UserError: nothing was put there.
        """
        try:
            return bytes(self.files.cat_file(self._path(key)))
        except FileNotFoundError as error:
            raise self._missing(key) from error

    def exists(self, key: str) -> bool:
        """Whether a key was put."""
        return bool(self.files.exists(self._path(key)))

    @contextmanager
    def as_file(self, key: str) -> Iterator[Path]:
        """A file with the bytes of a key, while the block lasts: itself where the exchange is a folder, or a copy.

        Raises:
            UserError: nothing was put there.
        """
        if isinstance(self.files, LocalFileSystem):
            if not self.exists(key):
                raise self._missing(key)
            yield Path(self._path(key))
            return
        with NamedTemporaryFile() as copy:
            try:
                self.files.get_file(self._path(key), copy.name)
            except FileNotFoundError as error:
                raise self._missing(key) from error
            yield Path(copy.name)

    def move(self, key: str, to: str) -> None:
        """Keep what a key holds under another one."""
        target = self._path(to)
        self.files.makedirs(str(PurePosixPath(target).parent), exist_ok=True)
        self.files.mv(self._path(key), target)

    def remove(self, key: str) -> None:
        """Forget a key and all below it."""
        if self.exists(key):
            self.files.rm(self._path(key), recursive=True)

    def _missing(self, key: str) -> UserError:
        return UserError(f"the exchange {self.root} has no {key}: was it cleaned during a run?")

    def _path(self, key: str) -> str:
        if ".." in PurePosixPath(key).parts or key.startswith("/"):
            raise UserError(f"the exchange takes keys below its root: {key!r} leaves it")
        return f"{self.root}/{key}"
