"""One run: an arm trained on a cell's patients for the cell's time, and tested on patients that it never saw."""

from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import result_rows
from benchmarks.compare import arms, cells, cost
from benchmarks.compare.films import Fold
from mtmed.config import Config
from mtmed.evaluation.points import metrics_of
from mtmed.training.local import Span, train
from mtmed.training.observe import observe
from mtmed.training.seeds import generator
from mtmed.types import Architecture, HeadSpec, Study

Metrics = dict[str, dict[str, float]]


def run(cell_name: str, label: str, seed: str, data: Path | None) -> None:
    """Train and test `label` (an arm, with settings after @), and append its rows; nothing if they are there."""
    if result_rows.has(cell_name, label, seed):
        return
    torch.set_num_threads(1)
    cell, arm = cells.find(cell_name), arms.find(label)
    config = cell.config({**arm.changes, **arms.settings(label)})
    fold = cell.fold(seed, data)
    found: Metrics = {}
    steps = 0
    for heads in arm.models(tuple(config.heads.values())):
        count = cost.steps(cell, arm, label, heads, config.training.batch_size)
        found |= _one(arm, config, heads, fold, seed, count)
        steps += count
    found[result_rows.FACTS] = {"steps": steps}
    result_rows.append(cell_name, result_rows.run(label, seed, found))


def labelled(studies: Sequence[Study], heads: Sequence[HeadSpec]) -> list[Study]:
    """Those with a label for any of the heads: the others would take time and teach nothing."""
    names = {h.name for h in heads}
    return [s for s in studies if any(known.any() for head, known in s.labelled.items() if head in names)]


def _one(arm: arms.Arm, config: Config, heads: tuple[HeadSpec, ...], fold: Fold, seed: str, steps: int) -> Metrics:
    """One model of the arm: its metrics on the test patients, by head."""
    settings = config.architecture
    net = arm.build(Architecture(settings.encoder, settings.channels, settings.image_size, heads), seed_of(seed))
    torch.manual_seed(seed_of(seed))  # dropout of outside models draws from the global generator
    training = config.training.model_copy(update={"steps": steps})
    train(net, labelled(fold.train, heads), training, Span(0, 1), generator(seed, "compare"))
    return {head: metrics_of(net.architecture, head, seen) for head, (seen, _) in observe(net, fold.test).items()}


def seed_of(seed: str) -> int:
    """A number for `3` or `0.4`."""
    return sum(int(part) * 1000**place for place, part in enumerate(seed.split(".")))
