"""Strategies against each other, run by run.

    python -m benchmarks.federate run fed-tuning --arms "alone,pooled,fedavg,label_aware,bayes"
    python -m benchmarks.federate run fed --arms "bayes@alpha=0.1,b=1;mine@merge=bayes,correction=prior,strength=0.1"
    python -m benchmarks.federate run fed-films --arms "alone,pooled,bayes" --data <folder of manifests>

An arm is a strategy with its options, or a combination of parts under any name; options with a dot are settings of
params.yaml (training.average=0.5). `alone` and `pooled` are the references. Rows are written as runs end
(benchmarks/results), and a run whose rows are there is not made again.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import pool
from benchmarks.federate import cells, elsewhere
from benchmarks.federate.one import changes, run_one

app = typer.Typer(add_completion=False)


@app.callback()
def _commands() -> None:
    """Strategies of the federation against each other."""


@app.command("pretrain")
def pretrained() -> None:
    """Train an encoder on other patients, for arms with model.pretrained=weights/elsewhere.safetensors."""
    elsewhere.pretrain()


@app.command()
def run(
    cell: str,
    arms: Annotated[str, typer.Option(help="separated by commas, or by ; where options have commas")],
    seeds: Annotated[str | None, typer.Option(help="separated by commas; default: the cell's own")] = None,
    data: Annotated[Path | None, typer.Option(help="the folder of manifests of real films")] = None,
    jobs: Annotated[int, typer.Option(help="runs at a time, of one thread each")] = 2,
) -> None:
    """Train and test; seeds in the outer loop, so that what is there is paired whenever it stops."""
    labels = arms.split(";") if ";" in arms or "@" in arms else arms.split(",")
    wanted = seeds.split(",") if seeds else cells.find(cell).seeds
    for label in labels:
        cells.find(cell).config(changes(label), wanted[0])
    pool.run(run_one, cell, labels, wanted, data, jobs)


if __name__ == "__main__":
    app()
