"""bfloat16, the order of memory and torch.compile, each beside what the trainer does, for several encoders.

    python -m benchmarks.kernels [--encoder mtmedformer_tiny] [--repeats 9]

Forward, all heads' losses and backward of a batch of one phantom site, with one thread. The ways take turns, every
one goes first in turn, and a ratio is of neighbours in time, in seconds of the processor, which a busy machine
disturbs less than those of the wall clock. The encoder alone is compiled: which heads a batch has changes from batch
to batch, and each set of heads would be compiled anew. Compiling starts from an empty cache; the C++ compiler's time
is counted.
"""

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer

from benchmarks.trainer import configured, phantom_studies
from mtmed.config import Config
from mtmed.models.multitask import MultiTask, build
from mtmed.training import device
from mtmed.training.loader import collate
from mtmed.training.loss import head_losses, hybrid, present_heads
from mtmed.types import Batch

ENCODERS = ("mtmedformer_tiny", "pvt_v2_b0", "resnet10t")
BATCHES = (4, 16)
SIZE = 128
BUDGET = 120.0  # seconds of a training, for which compiling must pay


@dataclass(frozen=True)
class Way:
    """One way to compute a step; the first of WAYS is the one that ratios are to."""

    name: str
    precision: str = "float32"
    order: torch.memory_format = torch.channels_last
    compiled: bool = False


WAYS = (
    Way("channels-last"),
    Way("contiguous", order=torch.contiguous_format),
    Way("bfloat16", "bfloat16"),
    Way("compiled", compiled=True),
)


def main(
    encoder: Annotated[list[str], typer.Option(help="repeatable")] = list(ENCODERS),  # noqa: B006  (typer copies it)
    batch: Annotated[list[int], typer.Option(help="repeatable")] = list(BATCHES),  # noqa: B006
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="minutes for each line")] = True,
    repeats: int = 9,
) -> None:
    """Print the table, a line as soon as it is measured."""
    torch.set_num_threads(1)
    ways = [way for way in WAYS if compiled or not way.compiled]
    header = True
    for name, size in product(encoder, batch):
        row = {"encoder": name, "batch": size, **_measured(configured(name, SIZE, size, ""), ways, repeats)}
        lines = pd.DataFrame([row]).to_markdown(index=False, floatfmt=".2f")
        print(lines if header else lines.splitlines()[-1], flush=True)
        header = False


def _measured(config: Config, ways: Sequence[Way], repeats: int) -> dict[str, float]:
    """Images a second of the first way, the others' speed as shares of it, and what compiling costs."""
    with tempfile.TemporaryDirectory() as folder:
        studies = phantom_studies(config, Path(folder))
        batch = collate(studies[: config.training.batch_size], config.architecture.heads)
    steps = {way.name: _step(config, batch, way) for way in ways}
    first = {name: _seconds(step) for name, step in steps.items()}  # compiles, and warms up
    turns = [_turn(steps, number) for number in range(repeats)]
    base = ways[0].name
    out = {"images/s": len(batch.images) / statistics.median(turn[base] for turn in turns)}
    for way in ways[1:]:
        out[way.name] = statistics.median(turn[base] / turn[way.name] for turn in turns)
        if way.compiled:
            out["to compile, s"] = first[way.name]
            out[f"compiled, of {BUDGET:.0f} s"] = out[way.name] * max(0.0, 1 - first[way.name] / BUDGET)
    return out


def _step(config: Config, batch: Batch, way: Way) -> Callable[[], None]:
    """A step of a network of its own."""
    net: MultiTask = build(config.architecture).to(memory_format=way.order).train()
    heads = present_heads(batch)
    if way.compiled:
        net.encoder.compile()

    def step() -> None:
        with device.autocast(way.precision, batch.images.device):
            outputs = net(batch.images, heads)
        net.zero_grad(set_to_none=True)
        hybrid(net, head_losses(net, outputs, batch)).backward()

    return step


def _turn(steps: dict[str, Callable[[], None]], number: int) -> dict[str, float]:
    """Seconds of one step of each way."""
    names = list(steps)
    start = number % len(names)
    return {name: _seconds(steps[name], 3) / 3 for name in (*names[start:], *names[:start])}


def _seconds(work: Callable[[], None], times: int = 1) -> float:
    """Of this process and of those that it waited for, the C++ compiler's."""
    start = _processor()
    for _ in range(times):
        work()
    return _processor() - start


def _processor() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ |= {"TORCHINDUCTOR_CACHE_DIR": cache, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        typer.run(main)
