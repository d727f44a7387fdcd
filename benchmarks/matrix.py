"""Every run behind the claims of docs/results.md and the tables beside them, in the order in which they decide things.

    python -m benchmarks.matrix --data <folder of manifests>      # days on two cores; what is there is not made again
    python -m benchmarks.matrix --only fed-labels,fed-apart
    python -m benchmarks.matrix --list                            # the runs that are missing, by cell

Without --data, cells of real films are left out. What each cell is, benchmarks/compare/cells.py and
benchmarks/federate/cells.py say. Settings are chosen before, and costs measured, by commands of their own
(docs/results.md).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import pool, result_rows
from benchmarks.compare import cells as compared
from benchmarks.compare.train import run as run_model
from benchmarks.evidence import claimed_federation as claimed
from benchmarks.federate import cells as federated
from benchmarks.federate.one import run_one as run_strategy
from mtmed.errors import UserError

MODELS = ("multitask", "convolutional", "single", "smp-unet", "smp-fpn", "monai-unet", "monai-unetr")
DECISIVE = ("multitask", "single-whole", "convolutional")
REFERENCES, AVERAGES = ("alone", "pooled"), ("fedavg", "label_aware")
OTHERS = ("fedprox", "fedavgm", "fedadam", "fedexp", "fedbn", "scaffold", "median", "trimmed_mean", "fisher", "cyclic")
VARIANTS = (*claimed.VARIANTS.values(), claimed.EXTRAPOLATED, claimed.STEPPED)
ABLATED = tuple(f"{arm},{claimed.GIVEN}" for arm in (claimed.TOGETHER, claimed.EXTRAPOLATED))
USUAL = (*REFERENCES, *AVERAGES, "bayes", claimed.TOGETHER)
APART, ALIGNMENTS = "label_aware@alignment=", ("l2", "matching", "matching,matching_power=0.5")


@dataclass(frozen=True)
class Part:
    """Arms in a cell, on the seeds that it is reported on.

    Attributes:
        run: of one arm and seed.
    """

    run: pool.Run
    cell: str
    arms: tuple[str, ...]
    seeds: tuple[str, ...]
    films: bool

    @property
    def missing(self) -> int:
        """Runs without rows."""
        return sum(not result_rows.has(self.cell, arm, seed) for arm in self.arms for seed in self.seeds)


def _models(cell: str, *arms: str) -> Part:
    found = compared.find(cell)
    return Part(run_model, cell, arms, tuple(found.seeds), found.data == "real")


def _strategies(cell: str, *arms: str) -> Part:
    found = federated.find(cell)
    return Part(run_strategy, cell, arms, tuple(found.seeds), found.films)


PLAN = (
    _models("phantom", *MODELS, "single-whole"),
    _strategies("fed", *USUAL, "masks_only", claimed.IN_FEW, *OTHERS, *VARIANTS, *ABLATED),
    _models("real", *MODELS, "single-whole"),
    _strategies("fed-labels", *USUAL),
    _strategies("fed-rounds-20", *AVERAGES, "bayes"),
    _strategies("fed-epochs-1", *USUAL),
    _strategies("fed-epochs-4", *USUAL),
    *(_models(f"phantom-masks-{share}", *DECISIVE) for share in (10, 25, 50)),
    _strategies("fed-apart", "alone", "label_aware", *(f"{APART}{way}" for way in ALIGNMENTS)),
    _strategies("fed-films", *USUAL, "masks_only", "cyclic"),
    _strategies("fed-sites-16", *USUAL, "bayes@chain=4", "cyclic@chain=4"),
    *(
        _strategies(f"fed-fifth-{kind}", *AVERAGES, "median", "trimmed_mean", "fisher", "bayes", claimed.TOGETHER)
        for kind in ("honest", "flipped", "forged")
    ),
    _strategies("fed-full", *USUAL, "fedexp"),
    _models("full", "multitask", "single", "convolutional", "smp-unet"),
)


def main(
    data: Annotated[Path | None, typer.Option(help="the folder of manifests of real films")] = None,
    only: Annotated[str | None, typer.Option(help="cells, separated by commas")] = None,
    show: Annotated[bool, typer.Option("--list", help="say what is missing, and run nothing")] = False,
    jobs: Annotated[int, typer.Option(help="runs at a time, of one thread each")] = 2,
) -> None:
    """Run what is missing."""
    for part in chosen(only.split(",") if only else None):
        if show:
            print(f"{part.cell}: {part.missing} of {len(part.arms) * len(part.seeds)} runs are missing")
        elif data or not part.films:
            pool.run(part.run, part.cell, part.arms, part.seeds, data, jobs)


def chosen(cells: list[str] | None) -> list[Part]:
    """The parts of these cells, in the plan's order; all of them without.

    Raises:
        UserError: a cell that is not planned.
    """
    planned = [part.cell for part in PLAN]
    for cell in cells or []:
        if cell not in planned:
            raise UserError(f"cell {cell!r} is not planned: expected {', '.join(planned)}")
    return [part for part in PLAN if cells is None or part.cell in cells]


if __name__ == "__main__":
    typer.run(main)
