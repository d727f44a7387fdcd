"""Strategies against each other, run by run.

    python -m benchmarks.federate run fed-tuning --arms "alone,pooled,fedavg,label_aware,bayes"
    python -m benchmarks.federate run fed --arms "bayes@alpha=0.1,b=1;mine@merge=bayes,correction=prior,strength=0.1"

An arm is a strategy with its options, or a combination of parts under any name; options with a dot are settings of
params.yaml (training.average=0.5). `alone` and `pooled` are the references. Rows are written as runs end
(benchmarks/results), and a run whose rows are there is not made again.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Annotated, Any

import torch
import typer

from benchmarks import result_rows
from benchmarks.compare.arms import settings
from benchmarks.federate import cells
from benchmarks.federate.simulate import Metrics, alone, federate, measured, owners
from mtmed.models.multitask import MultiTask

app = typer.Typer(add_completion=False)


@app.callback()
def _commands() -> None:
    """Strategies of the federation against each other."""


@app.command()
def run(
    cell: str,
    arms: Annotated[str, typer.Option(help="separated by commas, or by ; where options have commas")],
    seeds: Annotated[str | None, typer.Option(help="separated by commas; default: the cell's own")] = None,
    jobs: Annotated[int, typer.Option(help="runs at a time, of one thread each")] = 2,
) -> None:
    """Train and test; seeds in the outer loop, so that what is there is paired whenever it stops."""
    labels = arms.split(";") if ";" in arms or "@" in arms else arms.split(",")
    wanted = seeds.split(",") if seeds else cells.find(cell).seeds
    for label in labels:
        cells.find(cell).config(changes(label), wanted[0])
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        runs = [pool.submit(run_one, cell, label, seed) for seed in wanted for label in labels]
        for done in runs:
            done.result()


def changes(label: str) -> dict[str, Any]:
    """What a label changes in the configuration: `bayes@alpha=0.1,training.average=0.5`."""
    name = label.partition("@")[0]
    said = {key if "." in key else f"strategies.{name}.{key}": value for key, value in settings(label).items()}
    return said if name in ("alone", "pooled") else {"federation.strategy": name, **said}


def run_one(cell_name: str, label: str, seed: str) -> None:
    """One run, if its rows are not there."""
    if result_rows.has(cell_name, label, seed):
        return
    torch.set_num_threads(1)
    cell = cells.find(cell_name)
    config = cell.config(changes(label), seed)
    train, test = cell.sites(config, seed)
    found: Metrics = {}

    def keep(models: dict[str, MultiTask], suffix: str = "", own: dict[str, set[str]] | None = None) -> None:
        for head, values in measured(models, test, own).items():
            found.setdefault(head, {}).update({f"{metric}{suffix}": value for metric, value in values.items()})

    if label.partition("@")[0] == "alone":
        models = {site: alone(config, studies, site) for site, studies in train.items()}
        keep(models, own=owners(train, list(config.heads)))
    elif label.partition("@")[0] == "pooled":
        keep(dict.fromkeys(train, alone(config, [s for studies in train.values() for s in studies], "pooled")))
    else:

        def watch(round: int, net: MultiTask) -> None:
            if round in cell.shown:
                keep(dict.fromkeys(train, net), f".round-{round}")

        keep(dict.fromkeys(train, federate(config, train, watch)))
    result_rows.append(cell_name, result_rows.run(label, seed, found))


if __name__ == "__main__":
    app()
