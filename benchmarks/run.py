"""The figures on speed and size that docs/results.md quotes, made in one run, side by side.

    make bench          # or python -m benchmarks.run [--repeats 3]

Lays the project's params.yaml out in a temporary folder, prepares the phantom sites, then runs the federation
and the plain loop in turn. Prints a table of medians; ratios are of runs that stood side by side.
"""

import os
import statistics
import tempfile
from pathlib import Path
from shutil import copyfile, rmtree

import pandas as pd
import typer

from benchmarks.process import measured
from flows.served import server_for

ROOT = Path(__file__).parents[1]


def main(repeats: int = 3) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name, server_for() as environment:
        folder = Path(name)
        copyfile(ROOT / "params.yaml", folder / "params.yaml")
        environment = {**environment, "PYTHONPATH": str(ROOT), "PREFECT_LOGGING_LEVEL": "WARNING"}
        for site in _sites(folder):
            measured(folder, environment, "flows.prepare", "phantom", site)
            measured(folder, environment, "flows.prepare", "site", site)
        rows = [_pair(folder, environment, number) for number in range(repeats)]
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".2f"))
    print(f"median ratio {statistics.median(r['ratio'] for r in rows):.2f}, ", end="")
    print(f"median overhead {statistics.median(r['overhead %'] for r in rows):.1f} %, ", end="")
    print(f"peak memory {max(r['memory MB'] for r in rows):.0f} MB")


def _sites(folder: Path) -> list[str]:
    from mtmed.config import load

    return sorted(load(folder / "params.yaml").sites)


def _pair(folder: Path, environment: dict[str, str], number: int) -> dict[str, float]:
    """One federation from scratch and one plain loop, one after the other."""
    rmtree(folder / ".mtmed", ignore_errors=True)
    _, memory = measured(folder, environment, "flows.federate")
    stages = pd.read_csv(folder / "models/federation/seconds.csv").set_index("stage")["seconds"]
    plain = float(measured(folder, environment, "benchmarks.plain")[0].split()[-1])
    wall = float(stages.sum())
    return {
        "run": number,
        **{f"{stage} s": float(value) for stage, value in stages.items()},
        "overhead %": 100 * (wall - float(stages["local work"])) / wall,
        "federation s": wall,
        "plain loop s": plain,
        "ratio": wall / plain,
        "memory MB": memory,
    }


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    typer.run(main)
