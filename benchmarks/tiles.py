"""What a full-field mammogram costs by tiles: seconds and memory, beside one look at the whole.

    python -m benchmarks.tiles [--height 3328] [--width 2560]

The film is a phantom's mammogram, enlarged; the network that of params.yaml, untrained, on one thread. Every way of
predicting is measured in a process of its own.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import torch
import typer
from PIL import Image

from mtmed import phantoms
from mtmed.config import load
from mtmed.data import pixels
from mtmed.inference import predict_file
from mtmed.models.multitask import build
from mtmed.specs import PhantomSpec
from mtmed.tiles.tiling import tiling

SIZES = (0, 96, 512)  # of tiles; 0: none
MODALITY = "mammography"


def main(
    height: Annotated[int, typer.Option(help="of the film, in pixels")] = 3328,
    width: Annotated[int, typer.Option()] = 2560,
    params: Annotated[Path, typer.Option(help="whose model and heads")] = Path("params.yaml"),
    film: Annotated[Path | None, typer.Option(help="instead of the phantom's")] = None,
    tiles: Annotated[int | None, typer.Option(help="of this size only, in this process")] = None,
) -> None:
    """Print a line for each size of tiles."""
    if film and tiles is not None:
        print(measure(film, tiles, params), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        film = film or _film(Path(folder), height, width)
        for size in SIZES:
            words = ["--film", str(film), "--tiles", str(size), "--params", str(params)]
            subprocess.run([sys.executable, "-m", "benchmarks.tiles", *words], check=True)


def measure(film: Path, size: int, params: Path) -> str:
    """One prediction, in words."""
    torch.set_num_threads(1)
    net = build(load(params).architecture).eval()
    cut = tiling(size or None, None, None, None)
    before, start = psutil.Process().memory_info().rss, time.process_time()
    image = predict_file(net, film, MODALITY, cut).image
    seconds = time.process_time() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    way = f"tiles of {size}" if size else "whole"
    return f"{image.shape[0]} x {image.shape[1]}, {way}: {seconds:.1f} s of processor, {grown / 1e6:.0f} MB"


def _film(folder: Path, height: int, width: int) -> Path:
    phantoms.write(PhantomSpec(modality=MODALITY, patients=5, size=832), folder)
    image = pixels.read(sorted((folder / "images").iterdir())[0]).image
    large = Image.fromarray((image * 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    large.save(folder / "film.png")
    return folder / "film.png"


if __name__ == "__main__":
    typer.run(main)
