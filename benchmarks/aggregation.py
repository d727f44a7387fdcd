"""What an aggregation costs: seconds beside a streaming sum in numpy, and memory, by the number of sites.

    python -m benchmarks.aggregation                     # 25 million parameters, 4, 16 and 64 sites (13 GB of disk)
    python -m benchmarks.aggregation --million 5 --sites 4,16

The numpy sum reads the same files, a tensor at a time, weighs and adds them up in single precision, and checks nothing.
Memory is what cannot be given back to the system (RssAnon): updates are mapped from their files, and pages of files
can.
"""

import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from safetensors import safe_open

from mtmed import checkpoint
from mtmed.aggregation.strategy import strategy
from mtmed.types import GlobalModel, SiteUpdate

STRATEGIES = ("fedavg", "label_aware", "bayes", "median")
NUMPY = "numpy sum"
WIDTH = 1024
EVERY_S = 0.005


def main(
    million: Annotated[float, typer.Option(help="parameters, in millions")] = 25.0,
    sites: Annotated[str, typer.Option(help="numbers of sites, separated by commas")] = "4,16,64",
    repeats: Annotated[int, typer.Option(help="turns of all, of which the median is shown")] = 3,
) -> None:
    """Write the updates, and time each way of adding them up in a process of its own."""
    counts = [int(n) for n in sites.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(max(counts)):
            _write(Path(folder), number, int(million * 1e6))
        print("| sites | what | seconds | times the numpy sum | memory, MB |\n|---|---|---|---|---|")
        for count in counts:
            found: dict[str, list[dict[str, float]]] = {}
            for _ in range(repeats):
                for name in (NUMPY, *STRATEGIES):
                    found.setdefault(name, []).append(_measured(folder, count, name))
            bare = median(run["seconds"] for run in found[NUMPY])
            for name, runs in found.items():
                seconds, memory = (median(run[key] for run in runs) for key in ("seconds", "memory"))
                print(f"| {count} | {name} | {seconds:.2f} | {seconds / bare:.2f} | {memory:.0f} |", flush=True)


def _model(size: int) -> dict[str, torch.Tensor]:
    rows, draw = size // WIDTH // 24, torch.Generator().manual_seed(0)
    return {f"encoder.{n}.weight": torch.randn(rows, WIDTH, generator=draw) for n in range(24)}


def _write(folder: Path, number: int, size: int) -> None:
    draw = torch.Generator().manual_seed(number + 1)
    start = _model(size)
    mean = {n: v + 0.01 * torch.randn(v.shape, generator=draw) for n, v in start.items()}
    precision = {n: torch.rand(v.shape, generator=draw) for n, v in start.items()}
    update = SiteUpdate(f"site-{number:03d}", 0, mean, precision, {"masks": 10 + number}, 20 + number)
    (folder / f"{number:03d}.safetensors").write_bytes(checkpoint.update_bytes(update))


def _measured(folder: str, count: int, name: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.aggregation", "one", folder, str(count), name]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(said.splitlines()[-1]))


def _one(folder: str, count: str, name: str) -> dict[str, float]:
    """In a process of its own: the files are in the system's cache by the second turn."""
    torch.set_num_threads(1)
    paths = sorted(Path(folder).glob("*.safetensors"))[: int(count)]
    with safe_open(paths[0], "pt") as file:
        size = sum(file.get_tensor(name).numel() for name in _means(file))
    model = GlobalModel(0, _model(size))
    work = partial(_summed, paths) if name == NUMPY else partial(_merged, model, paths, name)
    before, start = _memory(), time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        most = before
        while not done.done():
            time.sleep(EVERY_S)
            most = max(most, _memory())
        done.result()
    return {"seconds": time.perf_counter() - start, "memory": most - before}


def _summed(paths: list[Path]) -> None:
    total: dict[str, np.ndarray] = {}
    for path in paths:
        with safe_open(path, "np") as file:
            for name in _means(file):
                value = file.get_tensor(name) * np.float32(0.5)
                total[name] = total[name] + value if name in total else value


def _merged(model: GlobalModel, paths: list[Path], name: str) -> None:
    asked, updates = strategy(name, {}), [checkpoint.open_update(path) for path in paths]
    if not asked.merge.needs_precision:  # sites send none where nobody asks for it
        updates = [replace(update, precision={}) for update in updates]
    asked.aggregate(model, updates, {"masks": "segmentation"})


def _means(file: Any) -> list[str]:
    return [name for name in list(file.keys()) if not name.startswith("precision.")]


def _memory() -> float:
    """Memory that cannot be given back, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        print(json.dumps(_one(*sys.argv[2:])))
    else:
        typer.run(main)
