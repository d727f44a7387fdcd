"""The same federation as a plain PyTorch loop in one process: no Prefect, no MLflow, no files between rounds.

    python -m benchmarks.plain --params params.yaml

Prints the wall seconds of the rounds, after imports and reading; the yardstick of benchmarks/run.py.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import typer

from mtmed import checkpoint
from mtmed.config import load
from mtmed.data import store
from mtmed.models.multitask import build
from mtmed.training.optimizer import Moments
from mtmed.types import GlobalModel, SiteUpdate
from tasks.stopwatch import Stopwatch
from tasks.train_site import local_round


def main(params: str = "params.yaml") -> None:
    """Train and average; as many sites at a time as the federation, one thread each."""
    torch.set_num_threads(1)
    config = load(params)
    studies = {site: store.read(Path("data/prepared") / site) for site in sorted(config.sites)}
    model = GlobalModel(0, checkpoint.weights(build(config.architecture, config.federation.seed)))
    kept: dict[str, Moments] = {site: {} for site in studies}
    kinds, state = {h.name: h.kind for h in config.heads.values()}, dict[str, torch.Tensor]()
    start = time.perf_counter()

    def one(site: str) -> SiteUpdate:
        net = checkpoint.network(model.mean, config.architecture)
        return local_round(net, studies[site], config, site, model.round, Stopwatch(), kept[site])

    with ThreadPoolExecutor(config.federation.concurrency) as pool:
        for _ in range(config.federation.rounds):
            merged = config.strategy.aggregate(
                model, list(pool.map(one, studies)), kinds, state, architecture=config.architecture
            )
            model, state = merged.model, merged.state
    print(f"seconds {time.perf_counter() - start:.2f}")


if __name__ == "__main__":
    typer.run(main)
