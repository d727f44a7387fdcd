"""How long a model takes for one image: PyTorch beside ONNX Runtime, in one process.

    python -m benchmarks.latency [--params params.yaml] [--calls 30]

From an image as the network reads it to masks, chosen boxes and probabilities; without reading and resizing files,
which is the same for both. The network is that of params.yaml, untrained, with the heads of one modality. Calls of both
stand side by side, and the fastest of each counts: what else runs on the machine can only slow them.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated, cast

import pandas as pd
import torch
import typer

from mtmed.config import load
from mtmed.models.engine import Engine
from mtmed.models.multitask import MultiTask, build
from mtmed.onnx import runtime
from mtmed.onnx.export import export
from mtmed.onnx.parity import check_parity
from mtmed.training.observe import predict
from mtmed.types import GlobalModel

SIZES, THREADS = (96, 128, 512), (1, 2)
RARE = -7.0  # a logit; an untrained detector finds a lesion everywhere, and choosing boxes would take the time


def main(
    params: Annotated[Path, typer.Option(help="whose model and heads")] = Path("params.yaml"),
    modality: Annotated[str, typer.Option(help="whose heads are asked")] = "mammography",
    calls: Annotated[int, typer.Option(help="of each, per size and number of threads")] = 30,
) -> None:
    """Print the table."""
    architecture = load(params).architecture
    net = _like_trained(build(architecture).eval())
    heads = [h.name for h in architecture.heads if modality in h.modalities]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(net, GlobalModel(0, {}), path)
        rows = [row for count in THREADS for row in _rows(net, path, heads, count, calls)]
        size = f"{path.stat().st_size / 1e6:.1f} MB"
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".1f"))
    print(f"{architecture.encoder}, {', '.join(heads)}; ONNX file of {size}")


def _like_trained(net: MultiTask) -> MultiTask:
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("cls_logits.bias"):
                parameter.fill_(RARE)
    return net


def _rows(net: MultiTask, path: Path, heads: list[str], threads: int, calls: int) -> list[dict[str, object]]:
    torch.set_num_threads(threads)
    engines: tuple[Engine, Engine] = (net, runtime.load(path)[0])
    found = check_parity(*engines)
    rows = []
    for size in SIZES:
        eager, exported = _fastest(engines, torch.rand(1, 1, size, size), heads, calls)
        row = {"threads": threads, "size": size, "PyTorch, ms": 1000 * eager, "ONNX Runtime, ms": 1000 * exported}
        rows.append({**row, "ratio": eager / exported, "largest difference": f"{found:.0e}"})
    return cast(list[dict[str, object]], rows)


def _fastest(engines: tuple[Engine, ...], image: torch.Tensor, heads: list[str], calls: int) -> list[float]:
    """Seconds of the fastest call of each; the first calls, which make plans, count for nothing."""
    for engine in engines * 3:
        predict(engine, image, heads)
    taken: list[list[float]] = [[] for _ in engines]
    for _ in range(calls):
        for engine, seconds in zip(engines, taken, strict=True):
            start = time.perf_counter()
            predict(engine, image, heads)
            seconds.append(time.perf_counter() - start)
    return [min(seconds) for seconds in taken]


if __name__ == "__main__":
    typer.run(main)
