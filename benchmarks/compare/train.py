"""One run: an arm trained on a cell's patients for the cell's time, and tested on patients that it never saw."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import result_rows
from benchmarks.compare import arms, cells, cost
from benchmarks.compare.films import Fold
from benchmarks.tuning import SCORE, chosen
from mtmed.evaluation.points import metrics_of
from mtmed.models.multitask import MultiTask
from mtmed.specs import TrainingSpec
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
    fold = cell.fold(seed, data)
    found: Metrics = {}
    models: list[dict[str, float]] = []
    chose: dict[str, float] = {}
    for heads in cell.changed(arm.models(tuple(cell.config(arm.changes).heads.values()))):
        said = settings(cell, label, heads[0].name if arm.alone else SCORE)
        config = cell.config({**arm.changes, **said})
        full = arms.labelled(label, said)
        steps = cost.steps(cell, arm, full, heads, config.training.batch_size)
        training = config.training.model_copy(update={"steps": steps})
        own = tuple(config.heads[h.name] for h in heads)  # a setting may change their weights
        found |= train_and_test(arm, replace(config.architecture, heads=own), training, fold, seed)[0]
        chose = {"learning_rate": training.learning_rate}  # which the tuning gave when this ran
        if arm.alone:
            found[heads[0].name] |= chose
        models.append({"steps": steps, **cost.facts(cell, full, heads[0].name if arm.alone else cost.ALL)})
    found[result_rows.FACTS] = cost.together(models) | ({} if arm.alone else chose)
    result_rows.append(cell_name, result_rows.run(label, seed, found))


def settings(cell: cells.Cell, label: str, by: str) -> dict[str, str]:
    """What the label says after its @, or else the best of what was tried in the cell's tuning, on other patients.

    A model for one head has what is best for that head.
    """
    if "@" in label or cell.tuning:
        return arms.settings(label)
    return chosen(cell.tuning_experiment, label.removesuffix("-whole"), by)


def labelled(studies: Sequence[Study], heads: Sequence[HeadSpec]) -> list[Study]:
    """Those with a label for any of the heads: the others would take time and teach nothing."""
    names = {h.name for h in heads}
    return [s for s in studies if any(known.any() for head, known in s.labelled.items() if head in names)]


def train_and_test(
    arm: arms.Arm, architecture: Architecture, training: TrainingSpec, fold: Fold, seed: str
) -> tuple[Metrics, MultiTask]:
    """One model of the arm, trained: its metrics on the test patients, by head, and the network."""
    net = arm.build(architecture, seed_of(seed))
    torch.manual_seed(seed_of(seed))  # dropout of outside models draws from the global generator
    train(net, labelled(fold.train, architecture.heads), training, Span(0, 1), generator(seed, "compare"))
    seen = observe(net, fold.test)
    return {head: metrics_of(architecture, head, observations) for head, (observations, _) in seen.items()}, net


def seed_of(seed: str) -> int:
    """A number for `3` or `0.4`."""
    return sum(int(part) * 1000**place for place, part in enumerate(seed.split(".")))
