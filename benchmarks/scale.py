"""What preparation, storage and reading cost at many images, side by side in one run.

    python -m benchmarks.scale [--images 10000] [--pixels 512] [--folder build/scale]

Writes that many DICOM files (each two mammograms of the phantom, turned at random and laid over each other, with noise
of its own; they are kept for the next run), and prints: images per second of preparation against the bare decode of the
same files by pydicom in as many processes, with the peak memory for a tenth of them and for all; `dvc add` and `dvc
status` of the samples as shards and as one PNG each; random reads of both; and the training loader against the training
that it feeds.
"""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree
from typing import Annotated, Any

import numpy as np
import pandas as pd
import psutil
import pydicom
import typer
from PIL import Image
from scipy.ndimage import rotate

from benchmarks.process import measured
from mtmed.config import Config, load
from mtmed.data import store
from mtmed.data.workers import available
from mtmed.phantoms import write
from mtmed.specs import PhantomSpec
from mtmed.types import Array

DRAWN = 40  # pictures that are drawn; the others are made of these
READS = 2000


def main(images: int = 10000, pixels: int = 512, folder: Annotated[Path, typer.Option()] = Path("build/scale")) -> None:
    """Print the tables."""
    raw = folder / f"raw-{pixels}"
    _write(raw, images, pixels)
    print(f"{images} DICOM files of {pixels} x {pixels}, {available()} processes\n")
    print(_table(_preparation(folder, raw, n) for n in (images // 10, images)))
    prepared = folder / f"prepared-{images}"
    print(_table(_storage(folder, prepared, name) for name in ("shards", "PNG files")))
    print(_table([_loader(load("params.yaml"), prepared)]))


def _table(rows: Any) -> str:
    return f"{pd.DataFrame(list(rows)).to_markdown(index=False, floatfmt='.2f')}\n"


def _write(raw: Path, images: int, pixels: int) -> None:
    """The raw files, as far as they are not there, and a manifest of all and of a tenth of them."""
    drawn = raw / "drawn"
    if not (drawn / "manifest.csv").is_file():
        drawn.mkdir(parents=True, exist_ok=True)
        write(PhantomSpec(modality="mammography", patients=DRAWN, size=pixels, seed=5), drawn)
    with (drawn / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    (raw / "images").mkdir(exist_ok=True)
    todo = [n for n in range(images) if not (raw / f"images/{n}.dcm").is_file()]
    vary = partial(_vary, [drawn / row["image"] for row in rows], raw / "images")
    with get_context("spawn").Pool(available()) as pool:
        for _ in pool.imap_unordered(vary, todo, chunksize=16):
            pass
    for count in (images // 10, images):
        lines = [f"images/{n}.dcm,P{n // 2},mammography,{rows[n % len(rows)]['label']}" for n in range(count)]
        (raw / f"{count}.csv").write_text("\n".join(["image,patient_id,modality,label", *lines]) + "\n")


@cache
def _drawn(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path)


def _vary(drawn: list[Path], folder: Path, number: int) -> None:
    rng = np.random.default_rng(number)
    dataset = _drawn(drawn[number % len(drawn)])
    pixels: list[Array] = [dataset.pixel_array, _drawn(drawn[rng.integers(len(drawn))]).pixel_array]
    turned = [rotate(p, angle, reshape=False, order=1) for p, angle in zip(pixels, rng.uniform(0, 360, 2), strict=True)]
    mixed = turned[0] // 2 + turned[1] // 2 + rng.integers(0, 64, pixels[0].shape)
    copy = dataset.copy()
    copy.PixelData = np.clip(mixed, 0, 2**dataset.BitsStored - 1).astype(pixels[0].dtype).tobytes()
    copy.save_as(folder / f"{number}.dcm")


def _preparation(folder: Path, raw: Path, images: int) -> dict[str, Any]:
    """Preparation against the bare decode, one after the other."""
    out = folder / f"prepared-{images}"
    for old in (out, out.with_name(f"{out.name}-private")):
        rmtree(old, ignore_errors=True)
    paths = [raw / f"images/{n}.dcm" for n in range(images)]
    bare = _seconds(lambda: _decode_all(paths))
    started = time.perf_counter()
    words = ["--dataset", "manifest", "--raw", str(raw), "--out", str(out), "--option", f"manifest={images}.csv"]
    _, memory = measured(Path.cwd(), dict(os.environ), "flows.cli", "prepare", *words)
    seconds = time.perf_counter() - started
    return {
        "images": images,
        "preparation, images/s": images / seconds,
        "bare decode, images/s": images / bare,
        "ratio": seconds / bare,
        "memory MB": memory,
        "samples MB": sum(p.stat().st_size for p in out.iterdir()) / 1e6,
    }


def _decode_all(paths: list[Path]) -> None:
    with get_context("spawn").Pool(available()) as pool:
        for _ in pool.imap_unordered(decode, paths, chunksize=16):
            pass


def decode(path: Path) -> int:
    """The bare decode of a file; a number, so that no pixels are sent between processes."""
    return int(pydicom.dcmread(path).pixel_array.max())


def _storage(folder: Path, prepared: Path, kind: str) -> dict[str, Any]:
    """What DVC and random reads cost for the samples, stored as `kind`."""
    project = folder / f"dvc-{kind.split()[0]}"
    rmtree(project, ignore_errors=True)
    (project / "data").mkdir(parents=True)
    studies = store.read(prepared)
    if kind == "shards":
        for path in prepared.iterdir():
            (project / "data" / path.name).write_bytes(path.read_bytes())
    else:
        for number, study in enumerate(studies):
            Image.fromarray((study.image * store.FULL).astype(np.uint16)).save(project / f"data/{number}.png")
    _dvc(project, "init", "--no-scm", "-q")
    return {
        "stored as": kind,
        "files": len(list((project / "data").iterdir())),
        "MB": sum(p.stat().st_size for p in (project / "data").iterdir()) / 1e6,
        "dvc add s": _seconds(lambda: _dvc(project, "add", "-q", "data")),
        "dvc status s": _seconds(lambda: _dvc(project, "status", "-q")),
        "random reads, images/s": READS / _seconds(_reader(project / "data", kind, len(studies))),
    }


def _reader(data: Path, kind: str, count: int) -> Callable[[], object]:
    chosen = np.random.default_rng(0).integers(0, count, READS).tolist()
    if kind == "shards":
        studies = store.read(data)
        return lambda: [studies[n].image for n in chosen]
    return lambda: [np.asarray(Image.open(data / f"{n}.png"), np.float32) / store.FULL for n in chosen]


def _dvc(project: Path, *words: str) -> None:
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    subprocess.run([sys.executable, "-m", "dvc", *words], cwd=project, env=environment, check=True)


def _loader(config: Config, prepared: Path) -> dict[str, Any]:
    """The loader alone, and the training that it feeds, on the same samples, one thread."""
    import torch

    from mtmed.models.multitask import build
    from mtmed.training.loader import batches
    from mtmed.training.local import Span, train

    torch.set_num_threads(1)
    before = psutil.Process().memory_info().rss
    whole = store.read(prepared)
    kept = (psutil.Process().memory_info().rss - before) / len(whole)
    studies = whole[:READS]
    heads = list(config.heads.values())
    size = config.training.batch_size

    def load_all() -> None:
        for _ in batches(studies, heads, size, torch.Generator().manual_seed(0), augment=True):
            pass

    steps = 100
    spec = config.training.model_copy(update={"steps": steps})
    net = build(config.architecture)
    trained = _seconds(lambda: train(net, studies, spec, Span(0, 1), torch.Generator().manual_seed(0)))
    loaded = _seconds(load_all)
    row = {"loader, images/s": len(studies) / loaded, "training, images/s": steps * size / trained}
    share = row["training, images/s"] / row["loader, images/s"]
    return {**row, "share of training": share, "memory of labels, kB a study": kept / 1e3}


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    typer.run(main)
