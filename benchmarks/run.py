"""The figures on speed and size that docs/results.md quotes, made in one run, side by side.

    make bench          # or python -m benchmarks.run [--repeats 3]

Lays the project's params.yaml out in a temporary folder, prepares the phantom sites, then runs the federation
and the plain loop in turn. Prints a table of medians; ratios are of runs that stood side by side.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from shutil import copyfile, rmtree

import pandas as pd
import psutil
import typer

from flows.served import server_for

ROOT = Path(__file__).parents[1]


def main(repeats: int = 3) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name, server_for() as environment:
        folder = Path(name)
        copyfile(ROOT / "params.yaml", folder / "params.yaml")
        environment = {**environment, "PYTHONPATH": str(ROOT), "PREFECT_LOGGING_LEVEL": "WARNING"}
        for site in _sites(folder):
            _run(folder, environment, "flows.prepare", "phantom", site)
            _run(folder, environment, "flows.prepare", "site", site)
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
    _, memory = _run(folder, environment, "flows.federate")
    stages = pd.read_csv(folder / "models/federation/seconds.csv").set_index("stage")["seconds"]
    plain = float(_run(folder, environment, "benchmarks.plain")[0].split()[-1])
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


def _run(folder: Path, environment: dict[str, str], *command: str) -> tuple[str, float]:
    """The output of a command and the peak memory in MB of its processes together (resident, shared counted once)."""
    child = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(child, peak))
    watcher.start()
    output, _ = child.communicate()
    watcher.join()
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return output, peak[0]


def _watch(child: "subprocess.Popen[str]", peak: list[float]) -> None:
    while child.poll() is None:
        try:
            family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
            peak[0] = max(peak[0], sum(p.memory_full_info().pss for p in family) / 1e6)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass
        time.sleep(0.25)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    typer.run(main)
