"""Does masked-image pretraining on unlabelled images pay? One pooled model on benchmarks/learn.py's phantoms.

    python -m benchmarks.pretraining             # computes the rows that benchmarks/results/pretraining.csv lacks
    python -m benchmarks.pretraining --table     # prints what the rows say

Arms, by image passes (1 = ROUNDS rounds of STEPS batches): `scratch` learns from labels for 1; `equal` pretrains for .3
on all images and learns from labels for .7; `free` pretrains for 1 and learns from labels for 1. With 10 % of the
labels a tenth of each site's patients are labelled; learning from labels sees these alone, pretraining sees all.
"""

import csv
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer

from benchmarks.learn import Sites, changed, phantoms, tested
from benchmarks.masked import pretrain
from mtmed.config import Config
from mtmed.models.multitask import MultiTask, build
from mtmed.training.local import Span, train
from mtmed.training.optimizer import Moments
from mtmed.training.seeds import generator
from mtmed.types import Study

RESULTS = Path("benchmarks/results/pretraining.csv")
COLUMNS = ["experiment", "arm", "seed", "head", "metric", "value"]
ARMS = {"scratch": (0, 10), "equal": (3, 7), "free": (10, 10)}  # rounds of pretraining, and of learning from labels
ROUNDS, STEPS, BATCH = 10, 100, 8
SETTINGS = {"image.size": 64, "training.steps": STEPS, "training.batch_size": BATCH}
PRIMARY = ("dice", "map", "auroc", "mae")


@dataclass(frozen=True)
class Row:
    """One run: an encoder, the share of the patients with labels in percent, an arm and a seed."""

    encoder: str
    share: int
    arm: str
    seed: int

    @property
    def experiment(self) -> str:
        """Its name in the results."""
        return f"{self.encoder}, labels {self.share} %"


def main(
    seeds: int = 3,
    encoder: str = "edgenext_xx_small",
    table: Annotated[bool, typer.Option("--table", help="print the table only")] = False,
) -> None:
    """Compute what is missing, and print the table."""
    torch.set_num_threads(1)
    if not table:
        config = changed(Path("params.yaml"), SETTINGS | {"model.encoder": encoder})
        training, tests = phantoms(config)
        for seed, share, arm in product(range(seeds), (10, 100), ARMS):
            row = Row(encoder, share, arm, seed)
            if not _present(row):
                _append(row, _run(config, row, training, tests))
    print(_table(pd.read_csv(RESULTS)).to_markdown(floatfmt="+.3f"))


def _run(config: Config, row: Row, training: Sites, tests: Sites) -> dict[tuple[str, str], float]:
    """{(head, metric): mean over sites}, the loss of pretraining and the seconds of one processor."""
    start = time.process_time()
    net = build(config.architecture, row.seed)
    masked, labelled = ARMS[row.arm]
    out: dict[tuple[str, str], float] = {}
    if masked:
        everyone = [s for site in training.values() for s in site]
        seeds = generator(row.seed, "masked")
        out["pretraining", "l1"] = pretrain(net, everyone, config.training, masked * STEPS, seeds)
    _learn(net, [s for site in training for s in _kept(training[site], site, row)], config, row.seed, labelled)
    out["run", "processor_s"] = time.process_time() - start
    for name, values in tested(net, tests).items():
        head, metric = name.split(" ")
        out[head, metric] = values["mean"]
    return out


def _kept(studies: list[Study], site: str, row: Row) -> list[Study]:
    """The studies of `share` percent of a site's patients, others for every seed."""
    patients = sorted({s.patient for s in studies})
    order = torch.randperm(len(patients), generator=generator(row.seed, "labels", site)).tolist()
    kept = {patients[i] for i in order[: round(len(patients) * row.share / 100)]}
    return [s for s in studies if s.patient in kept]


def _learn(net: MultiTask, studies: list[Study], config: Config, seed: int, rounds: int) -> None:
    kept: Moments = {}
    for round in range(rounds):
        train(net, studies, config.training, Span(round, rounds), generator(seed, round, "pooled", "train"), kept)


def _present(row: Row) -> bool:
    if not RESULTS.is_file():
        return False
    rows = pd.read_csv(RESULTS)
    same = (rows["experiment"] == row.experiment) & (rows["arm"] == row.arm) & (rows["seed"] == row.seed)
    return bool(same.any())


def _append(row: Row, values: dict[tuple[str, str], float]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    new = not RESULTS.is_file()
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        for (head, metric), value in values.items():
            writer.writerow([row.experiment, row.arm, row.seed, head, metric, round(value, 4)])
    print(row, {f"{h} {m}": round(v, 3) for (h, m), v in values.items()}, flush=True)


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """The mean over seeds of `scratch`, and of the others' differences from it with the same seed."""
    rows = rows[rows["metric"].isin(PRIMARY)]
    by_arm = rows.pivot_table(index=["experiment", "head", "metric", "seed"], columns="arm", values="value")
    for arm in ("equal", "free"):
        by_arm[arm] -= by_arm["scratch"]
    grouped = by_arm[list(ARMS)].groupby(["experiment", "head", "metric"])
    mean, deviation = grouped.mean(), grouped.std()
    deviation.columns = [f"sd {name}" for name in deviation.columns]
    return mean.join(deviation).reset_index()


if __name__ == "__main__":
    typer.run(main)
