"""One run: an arm on a cell's sites, tested on patients that no site has."""

from collections.abc import Mapping
from typing import Any

import torch

from benchmarks import result_rows
from benchmarks.compare.arms import settings
from benchmarks.federate import cells
from benchmarks.federate.simulate import Metrics, alone, ensembles, federate, measured, owners
from mtmed.config import Config
from mtmed.models.multitask import MultiTask


def changes(label: str) -> dict[str, Any]:
    """What a label changes in the configuration: `bayes@alpha=0.1,training.average=0.5`."""
    name = label.partition("@")[0]
    said = {key if "." in key else f"strategies.{name}.{key}": value for key, value in settings(label).items()}
    return said if name in ("alone", "pooled") else {"federation.strategy": name, **said}


def run_one(cell_name: str, label: str, seed: str) -> None:
    """One run, if its rows are not there; that of sites alone gives the rows of their ensemble as well."""
    if result_rows.has(cell_name, label, seed):
        return
    torch.set_num_threads(1)
    cell = cells.find(cell_name)
    config = cell.config(changes(label), seed)
    train, test = cell.sites(config, seed)
    name = label.partition("@")[0]
    if name == "alone":
        nets, owned = {site: alone(config, studies, site) for site, studies in train.items()}, owners(train, config)
        found = {label: measured(nets, test, owned), "ensemble": measured(ensembles(nets, owned), test)}
    elif name == "pooled":
        net = alone(config, [s for studies in train.values() for s in studies], "pooled")
        found = {label: measured(dict.fromkeys(train, net), test)}
    else:
        found = {label: _federated(cell, config, train, test)}
    for arm, metrics in found.items():
        result_rows.append(cell_name, result_rows.run(arm, seed, metrics))


def _federated(cell: cells.Cell, config: Config, train: cells.Sites, test: cells.Sites) -> Metrics:
    """Of the last round, and of those that the cell shows with `.round-<n>` behind the metric."""
    found: Metrics = {}

    def watch(round: int, models: Mapping[str, MultiTask]) -> None:
        if round in cell.shown:
            keep(models, f".round-{round}")

    def keep(models: Mapping[str, MultiTask], suffix: str) -> None:
        for head, values in measured(models, test).items():
            found.setdefault(head, {}).update({f"{metric}{suffix}": value for metric, value in values.items()})

    keep(federate(config, train, watch), "")
    return found
