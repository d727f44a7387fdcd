"""The archives that data sets come in, unpacked into a new folder: all of it or nothing, and nothing outside it.

What an archive says of its own sizes is not believed: they are counted while they are written.
"""

import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex

from mtmed.data.archive_entries import CHUNK, Entry, entries, inside
from mtmed.errors import UserError

UNMEASURED = 2**28  # bytes to which no ratio applies: a mask of zeros packs a thousandfold and is no attack
EVERY = 5000  # files between two lines of progress

DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, struct.error, RuntimeError,
    ValueError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """Beyond these an archive is taken for an attack (a "decompression bomb") rather than for data.

    Attributes:
        total: bytes of all files.
        files: files and folders.
        ratio: how many times its packed size a file, or an archive, may grow to.
    """

    total: float = 500e9
    files: int = 1_000_000
    ratio: float = 200


class _Meter:
    """What was unpacked so far, of everything, of one archive and of one entry."""

    def __init__(self, limits: Limits, progress: Callable[[str], None]) -> None:
        self.limits, self.progress = limits, progress
        self.entries = self.files = self.total = self.archive = self.entry = 0

    def next_archive(self) -> None:
        self.archive = 0

    def next_entry(self, folder: bool) -> None:
        self.entries, self.files, self.entry = self.entries + 1, self.files + (not folder), 0
        if self.entries > self.limits.files:
            raise UserError(f"more than {self.limits.files} files and folders (--max-files)")
        if self.entries % EVERY == 0:
            self.progress(f"{self.files} files, {self.total / 1e9:.1f} GB")

    def count(self, archive: int, packed: Callable[[], int], size: int) -> None:
        """`size` bytes more, of an entry that took `packed()` bytes so far, of an archive of `archive` bytes."""
        self.total, self.archive, self.entry = self.total + size, self.archive + size, self.entry + size
        if self.total > self.limits.total:
            raise UserError(f"more than {self.limits.total / 1e9:g} GB (--max-gb)")
        for grown, source in ((self.entry, packed()), (self.archive, archive)):
            if grown > max(UNMEASURED, self.limits.ratio * source):
                raise UserError(f"grows to more than {self.limits.ratio:g} times its packed size (--max-ratio)")


def unpack(
    archives: Sequence[Path], out: Path, limits: Limits | None = None, progress: Callable[[str], None] = print
) -> tuple[int, int]:
    """Unpack one or several archives into `out`, a folder that is not there yet or empty; (files, bytes).

    Everything is unpacked beside `out` first and renamed at the end.

    Raises:
        UserError: not an archive, encrypted, cut off or damaged; a name that leads out of the folder or comes twice; a
            link or a device; more than the limits allow; `out` holds something already.
    """
    out = _expect_new(out)
    beside = out.with_name(f".{out.name}.{token_hex(4)}.part")
    meter = _Meter(limits or Limits(), progress)
    try:
        with _told(f"--out {out} cannot be made"):
            beside.mkdir(parents=True)
        for archive in archives:
            _extract(archive, beside, meter)
        with _told(f"--out {out} cannot be made"):
            beside.rename(out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # after the renaming there is none
    return meter.files, meter.total


def _expect_new(out: Path) -> Path:
    out = out.resolve()  # through a link that the user made, to a larger disk
    if out == Path.cwd():
        raise UserError("--out is the folder that you are in: name one below it")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: expected a new folder")
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"--out {out} is not empty: name a new folder, or remove this one")
    return out


def _extract(archive: Path, folder: Path, meter: _Meter) -> None:
    if not archive.is_file():
        raise UserError(f"no archive at {archive}" + (": it is a folder" if archive.is_dir() else ""))
    size, before = archive.stat().st_size, meter.entries
    meter.next_archive()
    with _told(f"{archive} cannot be unpacked"):
        for entry in entries(archive, folder):
            meter.next_entry(entry.folder)
            _write(entry, folder / inside(entry.name), partial(meter.count, size, entry.packed))
        if meter.entries == before:
            raise UserError("it holds nothing")


def _write(entry: Entry, target: Path, count: Callable[[int], None]) -> None:
    try:
        (target if entry.folder else target.parent).mkdir(parents=True, exist_ok=True)
        if entry.folder:
            return
        file = target.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise UserError(f"{entry.name!r} comes twice, or is both a file and a folder") from error
    written = 0
    with file, entry.open() as source:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            count(len(chunk))
            file.write(chunk)
    if entry.size is not None and written != entry.size:
        raise UserError(f"damaged: {entry.name!r} should have {entry.size} bytes, and has {written}")


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever the standard library raises on damaged or hostile files, or on a full disk, in one line."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{what}: {error}") from error
    except DAMAGE as error:
        raise UserError(f"{what}: cut off or damaged ({error or type(error).__name__})") from error
    except OSError as error:
        # the decompressors raise it without a number on damaged data; the system always has one
        reason = error.strerror if error.errno else f"cut off or damaged ({error})"
        raise UserError(f"{what}: {reason}") from error
