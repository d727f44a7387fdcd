"""What an archive holds, of whatever kind: its entries by name, and how to read each. Nothing is written here.

Zip, tar (plain or packed by gzip, bzip2 or xz), or a single file that one of these packed; told apart by their bytes,
not by their names. Links, devices, encrypted files and names that lead out of a folder are refused.
"""

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mtmed.errors import UserError

CHUNK = 2**20  # bytes read at a time; no header of a tar may be longer
DEEPEST = 64  # folders within folders; thousands could be made, but not be removed again

PACKED: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
FOREIGN = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "RAR", b"\x28\xb5\x2f\xfd": "Zstandard", b"PK\x07\x08": "split zip"}
TAR_NAME = re.compile(r"\.(tar(\.\w+)?|tgz|tbz2?|txz)$", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """A file or folder of an archive: what it is called, how to read it, and how many packed bytes it took so far."""

    name: str
    folder: bool
    open: Callable[[], IO[bytes]]
    packed: Callable[[], int]
    size: int | None = None


def entries(archive: Path, folder: Path) -> Iterator[Entry]:
    """The entries of an archive of whatever kind, each to be read before the next is asked for."""
    with archive.open("rb") as file:
        start = file.read(tarfile.BLOCKSIZE)
    foreign = next((name for magic, name in FOREIGN.items() if start.startswith(magic)), None)
    if foreign:
        raise UserError(f"{foreign} is not read here: unpack it with its own program")
    if start.startswith(ZIP):
        return _zipped(archive)
    opener = next((opener for magic, opener in PACKED.items() if start.startswith(magic)), None)
    if opener:
        with opener(archive) as stream:
            start = stream.read(tarfile.BLOCKSIZE)
    if _is_tar(start):
        return _tarred(archive, opener, folder)
    if opener and not TAR_NAME.search(archive.name):
        return _single(archive, opener)
    raise UserError("not an archive: expected zip, tar, tar.gz, tar.bz2, tar.xz or gz")


def inside(name: str) -> PurePosixPath:
    """A name that stays in its folder, on any system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.search(r"^[A-Za-z]:|[\\\0]", name):
        raise UserError(f"{name!r} leads out of the folder: expected a relative path with / between folders")
    if len(path.parts) > DEEPEST:
        raise UserError(f"{name[:40]!r}... lies more than {DEEPEST} folders deep")
    return path


def _is_tar(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")  # checks the header's sum
    except tarfile.HeaderError:
        return False
    return True


def _zipped(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            _expect_plain(info)
            # its name as it stands there: zipfile cuts it at a NUL
            opener, packed = partial(archive.open, info), partial(int, info.compress_size)
            yield Entry(info.orig_filename, info.is_dir(), opener, packed, info.file_size)


def _expect_plain(info: zipfile.ZipInfo) -> None:
    if info.flag_bits & 1:
        raise UserError("it is encrypted: unpack it with its own program and the password")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UserError(f"{info.filename!r} is a link or a device: expected files and folders")
    # others are read without a bound on memory, or not at all
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{info.filename!r} is packed by a rare method: unpack it with its own program")


def _tarred(path: Path, opener: Callable[[Any], Any] | None, folder: Path) -> Iterator[Entry]:
    with path.open("rb") as file, opener(file) if opener else nullcontext(file) as plain:
        stream = _Blocks(plain)
        with tarfile.open(fileobj=stream, mode="r:") as tar:  # type: ignore[call-overload]
            while (info := tar.next()) is not None:
                tar.members.clear()  # or it keeps them all
                if not (info.isreg() or info.isdir()):
                    raise UserError(f"{info.name!r} is a link or a device: expected files and folders")
                inside(info.name)
                tarfile.data_filter(info, str(folder))  # a second opinion: what Python itself refuses
                read, packed = partial(_file_of, tar, info), partial(_since, file, file.tell())
                yield Entry(info.name, info.isdir(), read, packed, info.size)
        stream.expect_end()


def _since(file: IO[bytes], start: int) -> int:
    return file.tell() - start


def _file_of(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(info)
    assert file is not None  # it is a regular file
    return file


class _Blocks:
    """A tar as tarfile reads it. tarfile takes a damaged header for the end: here an end has to look like one."""

    def __init__(self, inner: IO[bytes]) -> None:
        self.inner, self.last = inner, b""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= CHUNK:
            raise UserError(f"damaged: a header of {size} bytes")
        self.last = self.inner.read(size)
        return self.last

    def seek(self, position: int) -> int:
        return self.inner.seek(position)

    def tell(self) -> int:
        return self.inner.tell()

    def expect_end(self) -> None:
        """Nothing but zeros to the end; this reads the decompressor's checksum too."""
        rest = self.last if self.last == bytes(tarfile.BLOCKSIZE) else b"no end"
        while rest:
            if rest.strip(b"\0"):
                raise UserError("cut off or damaged: it does not end as a tar does")
            rest = self.inner.read(CHUNK)


def _single(path: Path, opener: Callable[[Any], Any]) -> Iterator[Entry]:
    """A file that is packed by itself, named as the archive without its last suffix."""
    name = path.stem if path.suffix.lower() in (".gz", ".bz2", ".xz") else path.name
    with path.open("rb") as file:
        yield Entry(name, False, partial(opener, file), file.tell)
