"""What a configuration learns, without servers: the federation of params.yaml on other phantoms than its own.

    python -m benchmarks.learn --set federation.rounds=24 --set training.steps=7 [--restart | --pooled]
    python -m benchmarks.learn --params experiments/real/params.yaml --prepared experiments/real-fold-0/data/prepared

Prints one line of metrics, by site and as their mean. Phantom patients differ from those of params.yaml (build/learn
keeps them), and prepared data can be tested on another split than the reported one: settings are chosen here.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer
import yaml

from benchmarks.plain import federated
from mtmed import checkpoint
from mtmed.config import Config, change, parse
from mtmed.data import store
from mtmed.data.identity import PUBLIC
from mtmed.data.prepare import Private, prepare
from mtmed.evaluation.points import metrics_of
from mtmed.models.multitask import MultiTask, build
from mtmed.phantoms import write
from mtmed.training.local import Span, train
from mtmed.training.observe import observe
from mtmed.training.seeds import generator
from mtmed.types import Study

TRAIN, TEST = {"patients": 90, "seed": 100}, {"patients": 150, "seed": 900, "broken": 0}
FOLD = 1  # of TRAIN; the other folds train
SHOWN = ("dice", "map", "map50", "auroc", "mae")

Sites = dict[str, list[Study]]


def main(
    params: Annotated[Path, typer.Option(help="the configuration that the changes start from")] = Path("params.yaml"),
    prepared: Annotated[Path | None, typer.Option(help="prepared sites; without it, phantoms")] = None,
    on: Annotated[str, typer.Option(help="the split of prepared data to test on")] = "validation",
    set: Annotated[list[str] | None, typer.Option(help="key=value of params.yaml, repeatable")] = None,
    restart: Annotated[bool, typer.Option(help="forget the optimiser's moments after every round")] = False,
    pooled: Annotated[bool, typer.Option(help="one model on the data of all sites")] = False,
) -> None:
    """Train, test, print."""
    torch.set_num_threads(1)
    config = changed(params, dict(text.partition("=")[::2] for text in set or []))
    studies, tests = phantoms(config) if prepared is None else _split(config, prepared, on)
    net = _pooled(config, studies) if pooled else _federated(config, studies, restart)
    print(json.dumps({"set": set, "restart": restart, "pooled": pooled, **tested(net, tests)}))


def changed(params: Path, changes: Mapping[str, str | float]) -> Config:
    raw = yaml.safe_load(params.read_text())
    raw["split"]["fold"] = FOLD
    for key, value in changes.items():
        change(raw, key, value)
    return parse(raw, "the changed params.yaml")


def _split(config: Config, prepared: Path, on: str) -> tuple[Sites, Sites]:
    """Training patients, and those of another split."""
    found = {site: store.read(prepared / site) for site in sorted(config.sites)}
    return _part(found, "train"), _part(found, on)


def phantoms(config: Config) -> tuple[Sites, Sites]:
    """Training patients, and others to test."""
    return _part(_written(config, "train", TRAIN), "train"), _written(config, "test", TEST)


def _part(studies: Sites, split: str) -> Sites:
    return {site: [s for s in found if s.split == split] for site, found in studies.items()}


def _written(config: Config, name: str, changes: dict[str, int]) -> Sites:
    folder = Path("build/learn") / f"{name}-{config.image.size}"
    for number, site in enumerate(config.phantom):
        if (folder / site / "index.json").is_file():
            continue
        spec = config.phantom[site].model_copy(update={**changes, "seed": changes["seed"] + number})
        write(spec, folder / "raw" / site)
        prepare(site, config, folder / "raw" / site, folder / site, Private(PUBLIC, folder / "private" / site))
    return {site: store.read(folder / site) for site in sorted(config.sites)}


def _federated(config: Config, studies: Sites, restart: bool) -> MultiTask:
    return checkpoint.network(federated(config, studies, restart).mean, config.architecture)


def _pooled(config: Config, studies: Sites) -> MultiTask:
    net = build(config.architecture, config.federation.seed)
    everyone, kept = [s for site in studies.values() for s in site], dict[str, torch.Tensor]()
    for round in range(config.federation.rounds):
        seeds = generator(config.federation.seed, round, "pooled", "train")
        train(net, everyone, config.training, Span(round, config.federation.rounds), seeds, kept)
    return net


def tested(net: MultiTask, studies: Sites) -> dict[str, dict[str, float]]:
    """{"head metric": {"mean" or site: value}}."""
    found: dict[str, dict[str, float]] = {}
    for site, known in studies.items():
        for head, (observations, _) in observe(net, known).items():
            values = metrics_of(net.architecture, head, observations)
            for metric in SHOWN:
                if metric in values:
                    found.setdefault(f"{head} {metric}", {})[site] = round(values[metric], 3)
    return {name: {"mean": round(sum(v.values()) / len(v), 3), **v} for name, v in found.items()}


if __name__ == "__main__":
    typer.run(main)
