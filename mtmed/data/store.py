"""Prepared samples on disk: few large files and one index; the same studies give the same bytes.

A shard is a safetensors file of some hundreds of studies: `images` uint16 [n,S,S], `mask.<head>` uint8 [m,K,B] of the
m studies that have one (its S*S bits packed into B bytes), and `studies` uint8, what else is known of each as JSON (not
in the header, which stays in memory for as long as the file is open). Pixels are read from the mapped file when they
are asked for: nothing is decoded twice, and nothing is kept.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from errno import ENOSPC
from functools import cached_property, lru_cache
from hashlib import file_digest, md5
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mtmed.errors import UserError
from mtmed.types import Array, Study

INDEX, FORMAT = "index.json", 3
FULL = 65535  # images are kept as 16 bits: exact enough for any detector, half the size of float32


class Row(NamedTuple):
    """A study as a shard keeps it: what is known of it, `image` uint16 [S,S], packed masks uint8 [K,B] by head."""

    entry: dict[str, Any]
    image: Array
    masks: Mapping[str, Array]


class StoredStudy(Study):
    """A study of a shard: its pixels are read whenever they are asked for."""

    def __init__(self, shard: "Shard", row: int, entry: Mapping[str, Any]) -> None:
        known = {
            **{name: entry[name] for name in ("study", "patient", "modality", "split", "view", "laterality")},
            "boxes": {head: _boxes(raw) for head, raw in entry["boxes"].items()},
            "values": {head: np.array(raw, np.float32) for head, raw in entry["values"].items()},
            "labelled": {head: np.array(raw, bool) for head, raw in entry["labelled"].items()},
            "spacing_mm": tuple(entry["spacing_mm"]) if entry["spacing_mm"] else None,
            "masks": _StoredMasks(shard, {head: drawn["row"] for head, drawn in entry["drawn"].items()}),
            "_pixels": (shard, row),
        }
        self.__dict__.update(known)  # the class is frozen

    @property
    def image(self) -> Array:
        """[S,S] float32 in 0..1."""
        shard, row = self.__dict__["_pixels"]
        return np.asarray(shard.image(row))


class _StoredMasks(Mapping[str, Array]):
    """{head: [K,S,S] bool} of a stored study."""

    def __init__(self, shard: "Shard", rows: Mapping[str, int]) -> None:
        self._shard, self._rows = shard, rows

    def __getitem__(self, head: str) -> Array:
        return self._shard.mask(head, self._rows[head])

    def __contains__(self, head: object) -> bool:
        return head in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class Shard:
    """One file of studies, opened when something of it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _file(self) -> Any:
        return safe_open(self.path, framework="numpy")

    @cached_property
    def size(self) -> int:
        """The side of its images in pixels."""
        return int(self._file.get_slice("images").get_shape()[-1])

    def entries(self) -> list[dict[str, Any]]:
        """What is known of each study, in order."""
        with safe_open(self.path, framework="numpy") as file:  # not kept open: of a million studies it is gigabytes
            return list(json.loads(file.get_tensor("studies").tobytes()))

    def studies(self) -> Iterator[StoredStudy]:
        """Its studies, without their pixels."""
        return (StoredStudy(self, row, entry) for row, entry in enumerate(self.entries()))

    def image(self, row: int) -> Array:
        """[S,S] float32 in 0..1."""
        return self._file.get_slice("images")[row] / np.float32(FULL)

    def mask(self, head: str, row: int) -> Array:
        """[K,S,S] bool of a head, by the row of its mask."""
        packed = self._file.get_slice(f"mask.{head}")[row]
        return np.unpackbits(packed, axis=1, count=self.size**2).reshape(-1, self.size, self.size).view(bool)


def encode(study: Study) -> Row:
    """A study as a shard keeps it."""
    masks = {head: np.asarray(mask, bool) for head, mask in sorted(study.masks.items())}
    entry = {
        **{name: getattr(study, name) for name in ("study", "patient", "modality", "split", "view", "laterality")},
        "boxes": {h: {"xyxy": b.tolist(), "classes": c.tolist()} for h, (b, c) in sorted(study.boxes.items())},
        "values": _lists(study.values),
        "labelled": _lists(study.labelled),
        "spacing_mm": study.spacing_mm,
        "drawn": {head: {"classes": mask.any(axis=(1, 2)).tolist()} for head, mask in masks.items()},
    }
    packed = {head: np.packbits(mask.reshape(len(mask), -1), axis=1) for head, mask in masks.items()}
    return Row(entry, np.round(study.image * FULL).astype(np.uint16), packed)


def write_shard(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of equal image size to a shard."""
    counts = dict.fromkeys(sorted({head for row in rows for head in row.masks}), 0)
    for row in rows:
        for head in row.masks:
            row.entry["drawn"][head]["row"] = counts[head]
            counts[head] += 1
    tensors = {f"mask.{h}": np.stack([row.masks[h] for row in rows if h in row.masks]) for h in counts}
    entries = json.dumps([row.entry for row in rows], separators=(",", ":"))
    tensors["images"] = np.stack([row.image for row in rows])
    tensors["studies"] = np.frombuffer(entries.encode(), np.uint8)
    temporary = path.with_name(f"{path.name}.part")
    try:
        save_file(tensors, temporary)
    except SafetensorError as error:
        raise OSError(
            ENOSPC, "samples cannot be written; is the disk full, or was the folder moved away?", str(path)
        ) from error
    temporary.chmod(0o644)  # safetensors writes files that only their owner may read
    temporary.replace(path)


def write_index(folder: Path, shards: Sequence[str]) -> None:
    """List the shards of a folder, in order; last of all, for it says that the folder is complete."""
    write_text(folder / INDEX, json.dumps({"format": FORMAT, "shards": list(shards)}, indent=1) + "\n")


def write(folder: Path, studies: Sequence[Study]) -> None:
    """Write studies of equal image size as one shard with its index."""
    folder.mkdir(parents=True, exist_ok=True)
    write_shard(folder / shard_name(0), [encode(study) for study in studies])
    write_index(folder, [shard_name(0)])


def shard_name(number: int) -> str:
    """The file name of a shard."""
    return f"samples-{number:05d}.safetensors"


def studies(shards: Iterable[Shard]) -> Iterator[StoredStudy]:
    """The studies of some shards, in order, without their pixels."""
    return (study for shard in shards for study in shard.studies())


def shards(folder: Path) -> list[Shard]:
    """The shards of a folder, in order.

    Raises:
        UserError: nothing is stored there, or in another format.
    """
    if not (folder / INDEX).is_file():
        raise UserError(f"no prepared samples in {folder}: run `python -m flows.prepare site {folder.name}` first")
    index = json.loads((folder / INDEX).read_text())
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise UserError(f"{folder} was prepared by another version of MTMed: prepare it again")
    return [Shard(folder / name) for name in index["shards"]]


def read(folder: Path, split: str | None = None) -> list[Study]:
    """The studies of a split, or all of them, in the order in which they were written; their pixels stay on disk.

    Raises:
        UserError: nothing is stored there, or in another format.
    """
    return [study for study in studies(shards(folder)) if split in (None, study.split)]


def digest(folder: Path) -> str:
    """The version of a folder: the hash that DVC writes into dvc.lock for the same files.

    MD5 over the sorted list of the files' MD5s and relative paths; it names a version, it proves nothing.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (".gitignore", ".DS_Store"))
    entries = [{"md5": _md5(file, *_state(file)), "relpath": file.relative_to(folder).as_posix()} for file in files]
    entries.sort(key=lambda e: e["relpath"])
    return md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=4096)
def _md5(path: Path, size: int, changed: int) -> str:  # noqa: ARG001  (a file that did not change is read once)
    with path.open("rb") as file:
        return file_digest(file, lambda: md5(usedforsecurity=False)).hexdigest()


def write_text(path: Path, text: str) -> None:
    """Replace a small file at once, so that a killed process never leaves half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)  # noqa: PTH105


def _lists(by_head: Mapping[str, Array]) -> dict[str, list[Any]]:
    return {head: np.asarray(values).tolist() for head, values in sorted(by_head.items())}


def _boxes(raw: Mapping[str, Any]) -> tuple[Array, Array]:
    return np.array(raw["xyxy"], np.float32).reshape(-1, 4), np.array(raw["classes"], np.int64)
