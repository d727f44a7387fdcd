"""Runs of arms and seeds, some at a time; those that have rows are not made again."""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

Run = Callable[[str, str, str, Path | None], None]  # cell, arm, seed, the folder of real films


def run(one: Run, cell: str, arms: Iterable[str], seeds: Iterable[str], data: Path | None, jobs: int) -> None:
    """Seeds in the outer loop, so that what is there is paired whenever it stops."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        runs = [pool.submit(one, cell, arm, seed, data) for seed in seeds for arm in arms]
        for done in runs:
            done.result()
