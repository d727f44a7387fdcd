"""The same federation as a plain PyTorch loop in one process: no Prefect, no MLflow, no files between rounds.

    python -m benchmarks.plain --params params.yaml

Prints the wall seconds of the rounds, after imports and reading; the yardstick of benchmarks/run.py. Sites train in the
strategy's order; what corrections ask of the other sites, and parameters that stay at a site, are left out.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import typer

from mtmed import checkpoint
from mtmed.aggregation.relay import as_one, handed_on
from mtmed.config import Config, load
from mtmed.data import store
from mtmed.models.multitask import build
from mtmed.training.optimizer import Moments
from mtmed.types import GlobalModel, SiteUpdate, Study
from tasks.stopwatch import Stopwatch
from tasks.train_site import local_round


def main(params: str = "params.yaml") -> None:
    """Train and merge; as many chains of sites at a time as the federation, one thread each."""
    torch.set_num_threads(1)
    config = load(params)
    studies = {site: store.read(Path("data/prepared") / site) for site in sorted(config.sites)}
    start = time.perf_counter()
    federated(config, studies)
    print(f"seconds {time.perf_counter() - start:.2f}")


def federated(config: Config, studies: Mapping[str, Sequence[Study]], restart: bool = False) -> GlobalModel:
    """The global model after all rounds.

    Args:
        restart: whether sites forget the optimiser's moments after every round.
    """
    model = GlobalModel(0, checkpoint.weights(build(config.architecture, config.federation.seed)))
    kept: dict[str, Moments] = {site: {} for site in studies}
    kinds, state = {h.name: h.kind for h in config.heads.values()}, dict[str, torch.Tensor]()

    def one(site: str, start: GlobalModel) -> SiteUpdate:
        net = checkpoint.network(start.mean, config.architecture)
        moments: Moments = {} if restart else kept[site]
        return local_round(net, studies[site], config, site, start.round, Stopwatch(), moments)

    def chain(sites: Sequence[str]) -> SiteUpdate:
        start, updates = model, list[SiteUpdate]()
        for site in sites:
            updates.append(one(site, start))
            start = handed_on(start, updates[-1])
        return as_one(updates)

    with ThreadPoolExecutor(config.federation.concurrency) as pool:
        for round in range(config.federation.rounds):
            chains = config.strategy.order.chains(list(studies), round, config.federation.rounds)
            updates = list(pool.map(chain, chains))
            merged = config.strategy.aggregate(model, updates, kinds, state, architecture=config.architecture)
            model, state = merged.model, merged.state
    return model


if __name__ == "__main__":
    typer.run(main)
