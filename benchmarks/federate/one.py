"""One run: an arm on a cell's sites, tested on patients that no site has."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import result_rows
from benchmarks.compare.arms import settings
from benchmarks.federate import cells
from benchmarks.federate.simulate import Metrics, alone, ensembles, federate, measured, own_seed, owners, traffic
from mtmed.config import Config
from mtmed.errors import UserError
from mtmed.models.multitask import MultiTask


def changes(label: str) -> dict[str, Any]:
    """What a label changes in the configuration: `bayes@alpha=0.1,training.average=0.5`."""
    name = label.partition("@")[0]
    said = {key if "." in key else f"strategies.{name}.{key}": value for key, value in settings(label).items()}
    return said if name in ("alone", "pooled") else {"federation.strategy": name, **said}


def run_one(cell_name: str, label: str, seed: str, data: Path | None = None) -> None:
    """One run, if its rows are not there; that of sites alone gives the rows of their ensemble as well."""
    if result_rows.has(cell_name, label, seed):
        return
    torch.set_num_threads(1)
    cell = cells.find(cell_name)
    config = cell.config(changes(label), seed)
    train, test = cell.sites(config, seed, data)
    owned, name = owners(train, config), label.partition("@")[0]
    if name in ("alone", "pooled") and config.model.pretrained:
        raise UserError(f"{label}: expected no model.pretrained, because references start from scratch here")
    if name == "alone":
        seeds = {site: own_seed(config, site) if cell.apart else None for site in train}
        nets = {site: alone(config, studies, site, seeds[site]) for site, studies in train.items()}
        together = label.replace("alone", "ensemble", 1)
        found = {label: measured(nets, test, owned), together: measured(ensembles(nets, owned), test, owned)}
    elif name == "pooled":
        net = alone(config, [s for studies in train.values() for s in studies], "pooled")
        found = {label: measured(dict.fromkeys(train, net), test, owned)}
    else:
        found = {label: _federated(cell, config, train, partial(measured, test=test, owners=owned))}
    rows = [row for arm, metrics in found.items() for row in result_rows.run(arm, seed, metrics)]
    result_rows.append(cell_name, rows)


def _federated(
    cell: cells.Cell, config: Config, train: cells.Sites, measured: Callable[[Mapping[str, MultiTask]], Metrics]
) -> Metrics:
    """Of the last round; of those that the cell shows, with `.round-<n>` behind the metric; and the bytes."""
    found: Metrics = {}

    def watch(round: int, models: Mapping[str, MultiTask]) -> None:
        suffix = "" if round == config.federation.rounds else f".round-{round}"
        if not suffix or round in cell.shown:
            for head, values in measured(models).items():
                found.setdefault(head, {}).update({f"{metric}{suffix}": value for metric, value in values.items()})

    found["bytes"] = traffic(federate(config, train, watch, cell.train_site, cell.apart))
    return found
