"""What confidence costs and brings: temperature scaling, Monte-Carlo dropout, an ensemble; plain sigmoid as yardstick.

    nice python -m benchmarks.confidence            # adds the rows that are missing to results/confidence.csv
    python -m benchmarks.confidence --table         # prints the tables of docs/decisions/0019 from the rows

Phantoms of 64 pixels; models trained on all sites together, and (arm `federated`) as the product trains them. A run is
an arm and a seed; members of the ensemble of seed s are the models of seeds s, s + 1 and s + 2. `<arm>-temperature` is
the arm with the temperatures of the validation patients, a tenth, as the product finds them. `patients-<n>` has the
temperature of n random patients of each site, of most likelihood, and with `-prior` as the product finds it.
"""

import csv
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.confidence_measures import measured, sampled
from benchmarks.confidence_models import HEADS, Predict, part, predictor, said
from benchmarks.confidence_table import tables
from mtmed.evaluation.temperature import GRID, PRIOR, add, best, curve, scale
from mtmed.types import LikelihoodCurve

ROWS = Path(__file__).parent / "results/confidence.csv"
COLUMNS = ["experiment", "arm", "seed", "head", "metric", "value"]
RUNS = {
    "plain": range(9),
    "federated": range(3),
    **dict.fromkeys(("ensemble", "dropout", "dropout-trained"), (0, 3, 6)),
}
SIZES, DRAWS = (1, 2, 4, 8, 16), 20  # patients of each site, and how often they are drawn

Found = dict[str, dict[str, float]]  # {head: {metric: value}}
Curves = dict[tuple[str, str], LikelihoodCurve]  # {(site, patient): curve}


def main(table: Annotated[bool, typer.Option("--table", help="print the tables, compute nothing")] = False) -> None:
    """Compute what is missing, then print the tables."""
    torch.set_num_threads(1)
    for arm, seed in [] if table else [(arm, seed) for arm, seeds in RUNS.items() for seed in seeds]:
        if (f"{arm}-temperature", str(seed)) not in _done():  # written last
            for name, found in _run(arm, seed):
                _append(name, seed, found)
            print(f"{arm} {seed}", flush=True)
    if not table and ("cost", "0") not in _done():
        _append("cost", 0, {"-": _cost()})
    print(tables(ROWS))


def _run(arm: str, seed: int) -> Iterator[tuple[str, Found]]:
    """The rows of an arm, as it is and scaled."""
    how = predictor(arm, seed)
    if arm == "plain":
        yield from _by_size(how)
    plain, scaled = {}, {}
    for head in HEADS:
        p, truth = said(how, "test", head), part("test", head).truth
        temperature = best(add(list(_curves(how, "validation", head).values())))
        plain[head] = measured(p, truth)
        scaled[head] = measured(scale(p, temperature), truth) | {"temperature": temperature}
    yield arm, plain
    yield f"{arm}-temperature", scaled


def _by_size(how: Predict) -> Iterator[tuple[str, Found]]:
    """What temperatures of few patients do on the test patients: means over draws, and the worst draw."""
    pool = {head: _curves(how, "validation", head) | _curves(how, "spare", head) for head in HEADS}
    test = {head: add(list(_curves(how, "test", head).values())) for head in HEADS}
    for size in SIZES:
        drawn = {head: [_drawn(pool[head], size, draw) for draw in range(DRAWS)] for head in HEADS}
        for name, prior in (("", math.inf), ("-prior", PRIOR)):
            yield f"patients-{size}{name}", {h: _effect([best(d, prior) for d in drawn[h]], test[h]) for h in HEADS}


def _drawn(pool: Curves, size: int, seed: int) -> LikelihoodCurve:
    rng, chosen = np.random.default_rng(seed), []
    for site in sorted({site for site, _ in pool}):
        patients = sorted(patient for s, patient in pool if s == site)
        chosen += [pool[site, patient] for patient in rng.permutation(patients)[:size]]
    return add(chosen)


def _effect(temperatures: list[float], test: LikelihoodCurve) -> dict[str, float]:
    nll = np.interp(np.log(temperatures), np.log(GRID), np.asarray(test.nll) / test.examples)
    spread = float(np.log(temperatures).std())
    return {"nll": float(nll.mean()), "nll_worst": float(nll.max()), "log_temperature_deviation": spread}


def _curves(how: Predict, split: str, head: str) -> Curves:
    found, p = part(split, head), said(how, split, head)
    rows: dict[tuple[str, str], list[int]] = {}
    for row, owner in enumerate(found.owners):
        rows.setdefault(owner, []).append(row)
    return {owner: curve(sampled(p[at]), sampled(found.truth[at]), len(at)) for owner, at in rows.items()}


def _cost() -> dict[str, float]:
    """Milliseconds of a mask, in batches of 32; the least of rounds in which the arms take turns."""
    images = torch.from_numpy(np.stack([s.image for s in part("test", HEADS[0]).studies[:32]])[:, None])
    arms = {arm: predictor(arm, 0) for arm in ("plain", "ensemble", "dropout")}
    taken: dict[str, list[float]] = {arm: [] for arm in arms}
    for _ in range(12):
        for arm, how in arms.items():
            taken[arm].append(_seconds(how, images))
    return {f"ms_{arm}": 1000 * min(seconds) / len(images) for arm, seconds in taken.items()}


def _seconds(how: Predict, images: torch.Tensor) -> float:
    start = time.process_time()
    how(images, HEADS[0])
    return time.process_time() - start


def _done() -> set[tuple[str, str]]:
    if not ROWS.is_file():
        return set()
    with ROWS.open(newline="") as file:
        return {(row["arm"], row["seed"]) for row in csv.DictReader(file)}


def _append(arm: str, seed: int, found: Found) -> None:
    """A run's rows, unless it is there: a killed run may have left some of its arms."""
    if (arm, str(seed)) in _done():
        return
    rows = [["confidence", arm, seed, h, m, f"{v:.8g}"] for h, values in found.items() for m, v in values.items()]
    ROWS.parent.mkdir(exist_ok=True)
    fresh = not ROWS.is_file()
    with ROWS.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(([COLUMNS] if fresh else []) + rows)


if __name__ == "__main__":
    typer.run(main)
