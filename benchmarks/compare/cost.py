"""What an arm costs: images per second of training on one core, parameters, FLOPs, memory.

    python -m benchmarks.compare cost real

A cell gives every arm the same time. Time is turned into steps by these rates, measured once, side by side, so that a
run gives the same result on a busy machine, and a second one the same as the first.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import result_rows
from benchmarks.compare import arms
from benchmarks.compare.cells import Cell, find
from mtmed.errors import UserError
from mtmed.models.multitask import MultiTask
from mtmed.training.local import Span, train
from mtmed.training.seeds import generator
from mtmed.types import Architecture, HeadSpec, Study

REPEATS, LEAST = 5, 4.0  # rounds over all arms, and seconds of one measurement
SLOW = ("model.", "training.batch_size", "training.precision")  # settings that change what a step costs
ALL = "-"


def experiment(cell: Cell) -> str:
    """Where the costs of a cell's arms are kept."""
    return f"cost-{cell.data}"


def steps(cell: Cell, arm: arms.Arm, label: str, heads: Sequence[HeadSpec], batch_size: int) -> int:
    """How many steps of `batch_size` images the model of `heads` has time for.

    Raises:
        UserError: its rate has not been measured.
    """
    speed = facts(cell, label, heads[0].name if arm.alone else ALL)["images_per_s"]
    models = len(arm.models(tuple(cell.config(arm.changes).heads.values()))) if not arm.whole else 1
    return max(1, round(cell.seconds / models * speed / batch_size))


def facts(cell: Cell, label: str, head: str = ALL) -> dict[str, float]:
    """What was measured of one model.

    Raises:
        UserError: nothing was.
    """
    rows, name = result_rows.read(experiment(cell)), costed(label)
    found = rows[(rows["arm"] == name) & (rows["head"] == head)]
    if found.empty:
        raise UserError(
            f"the cost of {name} is not known: python -m benchmarks.compare cost {cell.data} --arms '{name}'"
        )
    return dict(zip(found["metric"], found["value"], strict=True))


def together(models: Sequence[dict[str, float]]) -> dict[str, float]:
    """The facts of an arm of several models that are trained one after the other, for as long each."""
    total = {name: sum(m[name] for m in models) for name in ("parameters", "flops", "steps")}
    rate = statistics.fmean(m["images_per_s"] for m in models)
    return {**total, "images_per_s": rate, "memory_mb": max(m["memory_mb"] for m in models)}


def costed(label: str) -> str:
    """The label without the settings and variants that cost no time, or hardly any."""
    name, _, said = label.partition("@")
    slow = [part for part in said.split(",") if part.startswith(SLOW)]
    return "@".join([name.partition("+")[0].removesuffix("-whole"), *filter(None, [",".join(slow)])])


def measure(cell_name: str, names: Sequence[str]) -> None:
    """Measure arms side by side, each model in a process of its own, and append their rows."""
    cell = find(cell_name)
    models = [(name, heads) for name in names for heads in _models(cell, name)]
    rates: dict[tuple[str, str], list[float]] = {}
    facts: dict[tuple[str, str], dict[str, float]] = {}
    for _ in range(REPEATS):
        for name, head in models:
            said = json.loads(_in_a_process(cell_name, name, head))
            rates.setdefault((name, head), []).append(said.pop("images_per_s"))
            facts[name, head] = said
    for (name, head), found in rates.items():
        row = {head: {**facts[name, head], "images_per_s": statistics.median(found)}}
        result_rows.append(experiment(cell), result_rows.run(name, 0, row))


def _models(cell: Cell, name: str) -> list[str]:
    arm = arms.find(name)
    models = arm.models(tuple(cell.config(arm.changes).heads.values()))
    return [m[0].name for m in models] if arm.alone else [ALL]


def _in_a_process(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.compare.cost", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]


def _one(cell_name: str, name: str, head: str) -> dict[str, float]:
    torch.set_num_threads(1)
    cell, arm = find(cell_name), arms.find(name)
    config = cell.config({**arm.changes, **arms.settings(name)})
    heads = next(m for m in arm.models(tuple(config.heads.values())) if head in (ALL, m[0].name))
    said = config.architecture
    net = arm.build(Architecture(said.encoder, said.channels, said.image_size, heads), 0)
    studies = _studies(heads, said.image_size, 4 * config.training.batch_size)
    return {
        "parameters": sum(p.numel() for p in net.parameters()),
        "flops": _flops(net),
        "images_per_s": _rate(net, studies, config.training),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _flops(net: MultiTask) -> float:
    """Of a forward pass of one image through all heads (a multiplication and an addition are two)."""
    size = net.architecture.image_size
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, 1, size, size), [h.name for h in net.architecture.heads])
    return float(counter.get_total_flops())


def _rate(net: MultiTask, studies: Sequence[Study], training: object) -> float:
    """Images per second of the trainer, loading and augmentation included."""
    few = training.model_copy(update={"steps": 3})  # type: ignore[attr-defined]
    train(net, studies, few, Span(0, 1), generator("warm"))
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < LEAST:
        train(net, studies, few, Span(0, 1), generator("rate", done))
        done += few.steps * few.batch_size
    return done / (time.perf_counter() - start)


def _studies(heads: Sequence[HeadSpec], size: int, count: int) -> list[Study]:
    """Random images with one label of every head."""
    draw = np.random.default_rng(0)
    return [_study(heads, draw.random((size, size), np.float32), number) for number in range(count)]


def _study(heads: Sequence[HeadSpec], image: np.ndarray, number: int) -> Study:
    size = len(image)
    mask, box = np.zeros((1, size, size), bool), np.array([[8, 8, size / 2, size / 2]], np.float32)
    mask[:, 8 : size // 2, 8 : size // 2] = True
    return Study(
        study=str(number),
        patient=str(number),
        modality=heads[0].modalities[0],
        split="train",
        image=image,
        masks={h.name: mask for h in heads if h.kind == "segmentation"},
        boxes={h.name: (box, np.zeros(1, np.int64)) for h in heads if h.kind == "detection"},
        values={h.name: np.ones(1, np.float32) for h in heads if h.kind in ("classification", "regression")},
        labelled={h.name: np.ones(1, bool) for h in heads},
    )


if __name__ == "__main__":
    print(json.dumps(_one(*sys.argv[1:])))
