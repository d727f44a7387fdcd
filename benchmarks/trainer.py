"""The trainer beside a bare PyTorch loop: images a second of the same network on the same batches.

    python -m benchmarks.trainer [--encoder mtmedformer_tiny] [--size 128] [--batch 16] [--repeats 15]

Three ways of training take turns, step by step, in one process, with one thread, on copies of one network, one phantom
site's studies, and the same batches, bit for bit:

- trainer: `mtmed.training.local.train`, which reads, augments and collates its batches, and keeps its moments;
- bare: a loop that holds what a training cannot do without (forward, each head's loss, backward, clipping, AdamW), on
  batches that the same loader makes as it goes;
- ready: the same loop on batches that were made before the clock started.

The ratio to `bare` is what the trainer adds, and the ratio to `ready` what reading and augmenting cost on top. Both are
in seconds of the processor: other work on the machine disturbs them less than the wall clock's, and neighbours alike.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import accumulate, chain, islice, repeat
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer
from torch import nn

from benchmarks import result_rows
from mtmed import phantoms
from mtmed.config import Config, parse, sections
from mtmed.data import store
from mtmed.data.identity import PUBLIC
from mtmed.data.prepare import Private, prepare
from mtmed.models.multitask import MultiTask, build
from mtmed.specs import TrainingSpec
from mtmed.training import device
from mtmed.training.loader import batches
from mtmed.training.local import Span, train
from mtmed.training.optimizer import Moments
from mtmed.training.seeds import generator
from mtmed.types import Batch, HeadSpec, Study

ROOT = Path(__file__).parents[1]
SITE = "alder"  # masks, boxes and classes
PATIENTS = 30
WAYS = ("trainer", "bare", "ready")


def main(
    encoder: Annotated[str, typer.Option(help="instead of that of params.yaml; so are the next three")] = "",
    size: int = 0,
    batch: int = 0,
    precision: str = "",
    steps: Annotated[int, typer.Option(help="of one turn; a round of the demo has about as many")] = 26,
    repeats: int = 15,
    write: Annotated[bool, typer.Option(help="rows to benchmarks/results/speed.csv, for benchmarks.claims")] = False,
) -> None:
    """Print medians; without options, of the network and the batches of params.yaml."""
    torch.set_num_threads(1)
    config = configured(encoder, size, batch, precision)
    with tempfile.TemporaryDirectory() as folder:
        found = turns(config, phantom_studies(config, Path(folder)), steps, repeats)
    shown = f"{config.model.encoder}, {config.image.size} px, batches of {config.training.batch_size}"
    print(f"{shown}, {config.training.precision}, {steps} steps x {repeats}, one thread")
    print(_table(found).to_markdown(floatfmt=".3f"))
    if write:
        result_rows.append("speed", (row for seed, turn in enumerate(found) for row in _rows(seed, turn)))


def configured(encoder: str, size: int, batch: int, precision: str) -> Config:
    """params.yaml with a small phantom site, and with what is not empty or 0."""
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
    phantoms.write(config.phantom[SITE], folder / "raw")
    prepare(SITE, config, folder / "raw", folder / "out", Private(PUBLIC, folder / "private"), 0, [].append)
    return store.read(folder / "out", "train")


def turns(config: Config, studies: Sequence[Study], steps: int, repeats: int) -> list[dict[str, float]]:
    """Images by second of the processor, a row for each training of `steps` steps."""
    spec = config.training.model_copy(update={"steps": steps})
    nets = {name: deepcopy(build(config.architecture)) for name in WAYS}
    loops = {name: Bare(nets[name], spec) for name in ("bare", "ready")}
    kept: Moments = {}
    rows = [_turn(nets["trainer"], kept, loops, studies, spec, generator(n)) for n in range(repeats + 1)]
    return rows[1:]  # the first warms up


def _turn(
    net: MultiTask,
    kept: Moments,
    loops: Mapping[str, "Bare"],
    studies: Sequence[Study],
    spec: TrainingSpec,
    drawn: torch.Generator,
) -> dict[str, float]:
    """One call of the trainer, and a step of each loop before each of its steps."""
    feeds = [feed(studies, net.architecture.heads, spec, drawn.clone_state()) for _ in loops]
    ready = list(feeds.pop())
    between = Between(studies, ready, {loops["bare"]: feeds[0], loops["ready"]: iter(ready)})
    start = time.process_time()
    train(net, between, spec, Span(0, 1), drawn, kept)
    whole = time.process_time() - start
    seconds = {"trainer": whole - sum(between.seconds.values())}
    seconds |= {name: between.seconds[loop] for name, loop in loops.items()}
    images = sum(len(batch.images) for batch in ready)
    return {name: images / seconds[name] for name in WAYS}


class Between(Sequence[Study]):
    """Studies that let loops make a step, and take its time, whenever the trainer asks for the first of a batch."""

    def __init__(
        self, studies: Sequence[Study], plan: Sequence[Batch], loops: Mapping["Bare", Iterator[Batch]]
    ) -> None:
        self.studies, self.loops = studies, loops
        self.seconds = dict.fromkeys(loops, 0.0)
        self.first = set(accumulate((len(batch.images) for batch in plan), initial=0))
        self.asked = 0

    def __getitem__(self, number: Any) -> Any:
        if self.asked in self.first:
            self._step()
        self.asked += 1
        return self.studies[number]

    def __len__(self) -> int:
        return len(self.studies)

    def __iter__(self) -> Iterator[Study]:
        return iter(self.studies)  # whoever looks at all of them asks for no batch

    def _step(self) -> None:
        for loop, given in self.loops.items():
            start = time.process_time()
            loop.step(next(given))
            self.seconds[loop] += time.process_time() - start


def feed(
    studies: Sequence[Study], heads: Sequence[HeadSpec], spec: TrainingSpec, drawn: torch.Generator
) -> Iterator[Batch]:
    """The batches of `spec.steps` steps that `train` draws from a generator of the same seed."""
    passes = (batches(studies, heads, spec.batch_size, drawn, spec.augment, spec.sampling) for _ in repeat(None))
    return islice(chain.from_iterable(passes), spec.steps)


class Bare:
    """A loop as short as one over several heads can be: nothing is checked, kept or scheduled."""

    def __init__(self, net: MultiTask, spec: TrainingSpec) -> None:
        self.net, self.spec = net.train(), spec
        self.parameters = list(net.parameters())
        self.adam = torch.optim.AdamW(
            self.parameters, lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=True
        )

    def step(self, batch: Batch) -> None:
        """As a training has to make it."""
        present = [head for head, known in batch.labelled.items() if known.any()]
        with device.autocast(self.spec.precision, batch.images.device):
            outputs = self.net(batch.images, present)
        loss = sum(_loss(self.net, outputs[head], batch, head) for head in present)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, self.spec.clip_norm)
        self.adam.step()


def _loss(net: MultiTask, outputs: Any, batch: Batch, head: str) -> torch.Tensor:
    known = batch.labelled[head]
    images = known.any(1).float()
    return (net.decoder(head).losses(outputs, batch.targets[head], known) * images).sum() / images.sum()


def _rows(seed: int, turn: Mapping[str, float]) -> list[result_rows.Row]:
    found = (result_rows.run(arm, seed, {result_rows.FACTS: {"images_per_s": value}}) for arm, value in turn.items())
    return [row for rows in found for row in rows]


def _table(rows: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Median, least and most of the images a second and of the ratios."""
    table = pd.DataFrame(list(rows))
    table["trainer / bare"] = table["trainer"] / table["bare"]
    table["trainer / ready"] = table["trainer"] / table["ready"]
    return table.agg(["median", "min", "max"]).T


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    typer.run(main)
