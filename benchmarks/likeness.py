"""How far apart the perceptual hashes of copies and of different films lie.

    python -m benchmarks.likeness --data <folder of images> [--images 300]

Prints, for each way in which a copy may differ, the distances of copies from their originals and the share of pairs
that `near_pairs` finds; and the smallest distances between different images.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from PIL import Image

from mtmed.data import pixels
from mtmed.data.likeness import distance, near_pairs, perceptual_hash
from mtmed.errors import UserError
from mtmed.types import Array

SUFFIXES = {".png", ".jpg", ".jpeg", ".pgm", ".dcm"}


def main(data: Annotated[Path, typer.Option()], images: int = 300) -> None:
    """Print the two tables."""
    found = sorted(p for p in data.rglob("*") if p.suffix.lower() in SUFFIXES and "mask" not in str(p.parent))
    chosen = np.random.default_rng(0).permutation(len(found))[:images]
    pictures = [_grey(found[i]) for i in sorted(chosen)]
    kept = [picture for picture in pictures if picture is not None]
    hashes = np.stack([_hash(picture) for picture in kept])
    print(pd.DataFrame([_row(name, way, kept, hashes) for name, way in WAYS.items()]).to_markdown(index=False))
    apart = distance(hashes[:, None], hashes[None])[np.triu_indices(len(hashes), 1)]
    print(f"{len(kept)} images; between different ones: {', '.join(map(str, np.sort(apart)[:10]))}, ...")


def _grey(path: Path) -> Image.Image | None:
    try:
        return Image.fromarray((pixels.read(path).image * 255).astype(np.uint8))
    except UserError:
        return None


def _hash(picture: Image.Image) -> Array:
    return perceptual_hash(np.asarray(picture, np.float32) / 255)


def _row(
    name: str, way: Callable[[Image.Image], Image.Image], kept: list[Image.Image], hashes: Array
) -> dict[str, object]:
    copies = np.stack([_hash(way(picture)) for picture in kept])
    bits = distance(hashes, copies)
    pairs = set(near_pairs(np.concatenate([hashes, copies])))
    share = np.mean([(i, i + len(kept)) in pairs for i in range(len(kept))])
    return {
        "copy": name,
        "median": np.median(bits),
        "95 %": np.quantile(bits, 0.95),
        "most": bits.max(),
        "found": share,
    }


def _jpeg(picture: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=50)
    return Image.open(stream)


def _cropped(picture: Image.Image) -> Image.Image:
    w, h = picture.size
    return picture.crop((w // 50, h // 50, w - w // 50, h - h // 50))


WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 50": _jpeg,
    "half the size": lambda p: p.resize((p.width // 2, p.height // 2)),
    "gamma 0.8": lambda p: p.point(lambda v: 255 * (v / 255) ** 0.8),
    "turned by 1 degree": lambda p: p.rotate(1),
    "2 % cut off each edge": _cropped,
    "mirrored": lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}

if __name__ == "__main__":
    typer.run(main)
