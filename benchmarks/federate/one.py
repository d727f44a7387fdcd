"""One run: an arm on a cell's sites, tested on patients that no site has."""

from typing import Any

import torch

from benchmarks import result_rows
from benchmarks.compare.arms import settings
from benchmarks.federate import cells
from benchmarks.federate.simulate import Metrics, Models, alone, federate, measured, owners


def changes(label: str) -> dict[str, Any]:
    """What a label changes in the configuration: `bayes@alpha=0.1,training.average=0.5`."""
    name = label.partition("@")[0]
    said = {key if "." in key else f"strategies.{name}.{key}": value for key, value in settings(label).items()}
    return said if name in ("alone", "pooled") else {"federation.strategy": name, **said}


def run_one(cell_name: str, label: str, seed: str) -> None:
    """One run, if its rows are not there."""
    if result_rows.has(cell_name, label, seed):
        return
    torch.set_num_threads(1)
    cell = cells.find(cell_name)
    config = cell.config(changes(label), seed)
    train, test = cell.sites(config, seed)
    found: Metrics = {}

    def keep(models: Models, suffix: str = "", own: dict[str, set[str]] | None = None) -> None:
        for head, values in measured(models, test, own).items():
            found.setdefault(head, {}).update({f"{metric}{suffix}": value for metric, value in values.items()})

    if label.partition("@")[0] == "alone":
        models = {site: alone(config, studies, site) for site, studies in train.items()}
        keep(models, own=owners(train, list(config.heads)))
    elif label.partition("@")[0] == "pooled":
        keep(dict.fromkeys(train, alone(config, [s for studies in train.values() for s in studies], "pooled")))
    else:

        def watch(round: int, models: Models) -> None:
            if round in cell.shown:
                keep(models, f".round-{round}")

        keep(federate(config, train, watch))
    result_rows.append(cell_name, result_rows.run(label, seed, found))
