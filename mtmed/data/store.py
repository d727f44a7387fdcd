"""Prepared samples on disk: one tensor file and one index; the same studies give the same bytes."""

import json
import os
from collections.abc import Mapping, Sequence
from hashlib import file_digest, md5
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from mtmed.errors import UserError
from mtmed.types import Array, Study

TENSORS, INDEX = "samples.safetensors", "index.json"
FULL = 65535  # images are kept as 16 bits: exact enough for any detector, half the size of float32


def write(folder: Path, studies: Sequence[Study]) -> None:
    """Write studies of equal image size: `images` uint16 [N,H,W], `mask.<head>` uint8 [N,K,H,W], the index.

    A study without a mask of a head has zeros there; `labelled` in the index says that they mean nothing.
    """
    if not studies:
        raise UserError(f"no studies to store in {folder}: every one was quarantined, or the manifest is empty")
    folder.mkdir(parents=True, exist_ok=True)
    images = np.stack([np.round(s.image * FULL).astype(np.uint16) for s in studies])
    tensors = {"images": images, **{f"mask.{h}": _masks(studies, h) for h in _masked_heads(studies)}}
    temporary = folder / f"{TENSORS}.part"
    save_file(tensors, temporary)
    temporary.chmod(0o644)  # safetensors writes files that only their owner may read
    temporary.replace(folder / TENSORS)
    write_text(folder / INDEX, json.dumps([_entry(s) for s in studies], indent=1) + "\n")


def read(folder: Path, split: str | None = None) -> list[Study]:
    """The studies of a split, or all of them, in the order in which they were written.

    Raises:
        UserError: nothing is stored there.
    """
    if not (folder / INDEX).is_file():
        raise UserError(f"no prepared samples in {folder}: run `python -m flows.prepare site {folder.name}` first")
    entries = [(row, e) for row, e in enumerate(json.loads((folder / INDEX).read_text()))]
    chosen = [(row, e) for row, e in entries if split in (None, e["split"])]
    with safe_open(folder / TENSORS, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    return [_study(entry, row, tensors) for row, entry in chosen]


def digest(folder: Path) -> str:
    """The version of a folder: the hash that DVC writes into dvc.lock for the same files.

    MD5 over the sorted list of the files' MD5s and relative paths; it names a version, it proves nothing.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (".gitignore", ".DS_Store"))
    entries = [{"md5": _md5(file), "relpath": file.relative_to(folder).as_posix()} for file in files]
    entries.sort(key=lambda e: e["relpath"])
    return md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, lambda: md5(usedforsecurity=False)).hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a whole file or none: a reader never sees half of it."""
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)  # noqa: PTH105


def _masked_heads(studies: Sequence[Study]) -> list[str]:
    return sorted({head for study in studies for head in study.masks})


def _masks(studies: Sequence[Study], head: str) -> Array:
    shape = next(s.masks[head].shape for s in studies if head in s.masks)
    stack = np.zeros((len(studies), *shape), np.uint8)
    for row, study in enumerate(studies):
        if head in study.masks:
            stack[row] = study.masks[head]
    return stack


def _entry(study: Study) -> dict[str, Any]:
    return {
        "study": study.study,
        "patient": study.patient,
        "modality": study.modality,
        "split": study.split,
        "spacing_mm": study.spacing_mm,
        "masks": sorted(study.masks),
        "boxes": {h: {"xyxy": b.tolist(), "classes": c.tolist()} for h, (b, c) in sorted(study.boxes.items())},
        "values": _lists(study.values),
        "labelled": _lists(study.labelled),
    }


def _lists(arrays: Mapping[str, Array]) -> dict[str, list[bool]]:
    return {head: [bool(v) for v in values] for head, values in sorted(arrays.items())}


def _study(entry: dict[str, Any], row: int, tensors: Mapping[str, Array]) -> Study:
    return Study(
        study=entry["study"],
        patient=entry["patient"],
        modality=entry["modality"],
        split=entry["split"],
        image=tensors["images"][row].astype(np.float32) / FULL,
        masks={head: tensors[f"mask.{head}"][row].astype(bool) for head in entry["masks"]},
        boxes={head: _boxes(boxes) for head, boxes in entry["boxes"].items()},
        values={head: np.array(values, np.float32) for head, values in entry["values"].items()},
        labelled={head: np.array(values, bool) for head, values in entry["labelled"].items()},
        spacing_mm=tuple(entry["spacing_mm"]) if entry["spacing_mm"] else None,
    )


def _boxes(entry: dict[str, Any]) -> tuple[Array, Array]:
    return np.array(entry["xyxy"], np.float32).reshape(-1, 4), np.array(entry["classes"], np.int64)
