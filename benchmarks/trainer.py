"""The trainer beside a bare PyTorch loop: images a second of the same network on the same batches.

    python -m benchmarks.trainer [--encoder edgenext_xx_small] [--size 128] [--batch 16] [--repeats 9]

Three ways of training take turns in one process, with one thread, on copies of one network, one phantom site's studies,
and the same batches, bit for bit:

- trainer: `mtmed.training.local.train`, which reads, augments and collates its batches, and keeps its moments;
- bare: a loop that holds what a training cannot do without (forward, each head's loss, backward, clipping, AdamW), on
  batches that the same loader makes as it goes;
- ready: the same loop on batches that were made before the clock started.

The ratio to `bare` is what the trainer adds, and the ratio to `ready` what reading and augmenting cost on top. Both are
of neighbours in time, in seconds of the processor, which a busy machine disturbs less than those of the wall clock.
"""

import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import typer
from torch import nn

from mtmed.config import Config, parse, sections
from mtmed.data import store
from mtmed.data.identity import PUBLIC
from mtmed.data.prepare import Private, prepare
from mtmed.models.multitask import MultiTask, build
from mtmed.phantoms import write
from mtmed.specs import TrainingSpec
from mtmed.training import device
from mtmed.training.loader import batches
from mtmed.training.local import Span, train
from mtmed.training.seeds import generator
from mtmed.types import Batch, HeadSpec, Study

ROOT = Path(__file__).parents[1]
SITE = "alder"  # masks, boxes and classes
PATIENTS = 30
GOAL = 0.97
WAYS = ("trainer", "bare", "ready")


def main(
    encoder: str = "",
    size: int = 0,
    batch: int = 0,
    precision: str = "",
    steps: int = 26,
    repeats: int = 9,
) -> None:
    """Print a table of medians; without options, of params.yaml's own network and batches."""
    torch.set_num_threads(1)
    config = configured(encoder, size, batch, precision)
    with tempfile.TemporaryDirectory() as folder:
        studies = phantom_studies(config, Path(folder))
        table = _table(_compared(config, studies, steps, repeats))
    shown = f"{config.model.encoder}, {config.image.size} px, batches of {config.training.batch_size}"
    print(f"{shown}, {config.training.precision}, {steps} steps x {repeats}, one thread")
    print(table.to_markdown(floatfmt=".3f"))
    ratio = table.loc["trainer / bare", "median"]
    verdict = "holds" if ratio >= GOAL else "does not hold"
    print(f"the trainer reaches {ratio:.1%} of the bare loop (goal: {GOAL:.0%}): {verdict}")


def configured(encoder: str, size: int, batch: int, precision: str) -> Config:
    raw = sections(ROOT / "params.yaml")
    wanted = {
        ("model", "encoder"): encoder,
        ("image", "size"): size,
        ("training", "batch_size"): batch,
        ("training", "precision"): precision,
    }
    for (section, key), value in wanted.items():
        if value:
            raw[section][key] = value
    raw["phantom"][SITE] |= {"patients": PATIENTS, "broken": 0}
    return parse(raw)


def phantom_studies(config: Config, folder: Path) -> list[Study]:
    """A phantom site's training studies, read from its shard as a site reads them."""
    write(config.phantom[SITE], folder / "raw")
    prepare(SITE, config, folder / "raw", folder / "out", Private(PUBLIC, folder / "private"), 0, [].append)
    return store.read(folder / "out", "train")


def _compared(config: Config, studies: Sequence[Study], steps: int, repeats: int) -> list[dict[str, float]]:
    """Images by second of the processor, a row for each repeat; every way goes first in turn."""
    spec = config.training.model_copy(update={"steps": steps})
    heads = config.architecture.heads
    nets = {name: deepcopy(build(config.architecture)) for name in WAYS}
    rows = []
    for seed in range(repeats + 1):
        feeds = {name: _feed(studies, heads, spec, seed) for name in WAYS}
        feeds["ready"] = ready = list(feeds["ready"])
        images = sum(len(batch.images) for batch in ready)
        row = {}
        for name in (*WAYS[seed % 3 :], *WAYS[: seed % 3]):
            start = time.process_time()
            if name == "trainer":
                train(nets[name], studies, spec, Span(0, 1), generator(seed), {})
            else:
                _bare(nets[name], feeds[name], spec)
            row[name] = images / (time.process_time() - start)
        rows.append(row)
    return rows[1:]  # the first warms up


def _feed(studies: Sequence[Study], heads: Sequence[HeadSpec], spec: TrainingSpec, seed: int) -> Iterable[Batch]:
    """The batches that `train` draws with the same seed."""
    drawn = generator(seed)
    passes = (batches(studies, heads, spec.batch_size, drawn, spec.augment) for _ in repeat(None))
    return islice(chain.from_iterable(passes), spec.steps)


def _bare(net: MultiTask, feed: Iterable[Batch], spec: TrainingSpec) -> None:
    """As short as a loop over several heads can be: nothing is checked, kept or scheduled."""
    adam = torch.optim.AdamW(net.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=True)
    net.train()
    for batch in feed:
        present = [head for head, known in batch.labelled.items() if known.any()]
        with device.autocast(spec.precision, batch.images.device):
            outputs = net(batch.images, present)
        losses = [_loss(net, outputs[head], batch, head) for head in present]
        adam.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()
        nn.utils.clip_grad_norm_(net.parameters(), spec.clip_norm)
        adam.step()


def _loss(net: MultiTask, outputs: Any, batch: Batch, head: str) -> torch.Tensor:
    known = batch.labelled[head]
    return net.decoder(head).losses(outputs, batch.targets[head], known)[known.any(1)].mean()


def _table(rows: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Median, least and most of the images a second and of the ratios."""
    table = pd.DataFrame(list(rows))
    table["trainer / bare"] = table["trainer"] / table["bare"]
    table["trainer / ready"] = table["trainer"] / table["ready"]
    return table.agg(["median", "min", "max"]).T


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    typer.run(main)
