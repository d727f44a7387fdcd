"""The comparison, run by run.

    python -m benchmarks.compare cost real                            # once: how fast every arm trains
    python -m benchmarks.compare run real-tuning --rates .001,.003 --data <folder of manifests>
    python -m benchmarks.compare run real --data <folder of manifests>
    python -m benchmarks.compare run phantom --arms multitask,single --seeds 0,1

Rows are written as runs end (benchmarks/results), and a run whose rows are there is not made again: an interrupted
comparison goes on where it was. `python -m benchmarks.claims` says what follows from them.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import pool
from benchmarks.compare import arms, cells, cost
from benchmarks.compare.train import run as run_one

app = typer.Typer(add_completion=False)
RATE = "training.learning_rate"
USUAL = "multitask,convolutional,single,smp-unet,smp-fpn,monai-unet,monai-unetr"


@app.command("cost")
def measure(
    cell: str,
    names: Annotated[str, typer.Option("--arms", help="separated by commas")] = USUAL,
) -> None:
    """Measure parameters, FLOPs, memory and images per second, on otherwise quiet cores."""
    cost.measure(cell, names.split(";") if ";" in names else names.split(","))


@app.command()
def run(
    cell: str,
    names: Annotated[
        str,
        typer.Option(
            "--arms",
            help="separated by commas, or by ; where settings have commas: multitask@a.b=1,c.d=2;single",
        ),
    ] = USUAL,
    seeds: Annotated[str | None, typer.Option(help="separated by commas; default: the cell's own")] = None,
    rates: Annotated[str | None, typer.Option(help="learning rates to try, separated by commas")] = None,
    data: Annotated[Path | None, typer.Option(help="the folder of manifests of real films")] = None,
    jobs: Annotated[int, typer.Option(help="runs at a time, of one thread each")] = 2,
) -> None:
    """Train and test; seeds in the outer loop, so that what is there is paired whenever it stops."""
    labels = names.split(";") if ";" in names else names.split(",")
    if rates:
        labels = [f"{label}{',' if '@' in label else '@'}{RATE}={r}" for label in labels for r in rates.split(",")]
    wanted = seeds.split(",") if seeds else cells.find(cell).seeds
    for label in labels:
        arms.find(label)
    pool.run(run_one, cell, labels, wanted, data, jobs)


if __name__ == "__main__":
    app()
