"""Prepared samples that were damaged after their preparation, which itself lets no NaN in."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from mtmed.data.store import INDEX


def pixel(folder: Path, row: int, value: float = float("nan")) -> None:
    """One pixel of a row's image is `value`: the images of its shard are floats from now on."""
    shard = _shard(folder)
    tensors = load_file(shard)
    images = tensors["images"].astype(np.float32)
    images[row, 5, 7] = value
    save_file({**tensors, "images": images}, shard)


def measurement(folder: Path, row: int, head: str) -> None:
    """The first measurement of a row is NaN, and labelled."""
    shard = _shard(folder)
    tensors = load_file(shard)
    entries = json.loads(tensors["studies"].tobytes())
    entries[row]["values"][head][0] = float("nan")
    save_file({**tensors, "studies": np.frombuffer(json.dumps(entries).encode(), np.uint8)}, shard)


def _shard(folder: Path) -> Path:
    (name,) = json.loads((folder / INDEX).read_text())["shards"]
    return folder / name
