"""What a configuration learns, without servers: the default's federation on other phantoms than the default's.

    python -m benchmarks.learn --set federation.rounds=24 --set training.steps=7 [--restart | --pooled]

Prints one line of metrics on the test phantoms, means and the worst over sites. Sites and patients differ from those
of params.yaml, so that its settings can be chosen here and reported there. Data are kept in build/learn.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
import yaml

from mtmed import checkpoint
from mtmed.config import Config, parse
from mtmed.data import phantom, store
from mtmed.data.prepare import prepare
from mtmed.evaluation.points import metrics_of
from mtmed.models.multitask import MultiTask, build
from mtmed.registry import find
from mtmed.training.local import Span, train
from mtmed.training.observe import observe
from mtmed.training.optimizer import Moments
from mtmed.training.seeds import generator
from mtmed.types import GlobalModel, SiteUpdate, Study
from tasks.stopwatch import Stopwatch
from tasks.train_site import local_round

TRAIN, TEST = {"patients": 90, "seed": 100}, {"patients": 150, "seed": 900, "broken": 0}
FOLD = 1  # of TRAIN; the other folds train
SHOWN = ("dice", "map", "map50", "auroc")

Sites = dict[str, list[Study]]


def main(
    set: Annotated[list[str] | None, typer.Option(help="key=value of params.yaml, repeatable")] = None,
    restart: Annotated[bool, typer.Option(help="forget the optimiser's moments after every round")] = False,
    pooled: Annotated[bool, typer.Option(help="one model on the data of all sites")] = False,
) -> None:
    """Train, test, print."""
    torch.set_num_threads(1)
    config = _changed([text.split("=", 1) for text in set or []])
    studies = {site: [s for s in found if s.split == "train"] for site, found in _data(config, "train", TRAIN).items()}
    net = _pooled(config, studies) if pooled else _federated(config, studies, restart)
    print(json.dumps({"set": set, "restart": restart, "pooled": pooled, **_tested(net, _data(config, "test", TEST))}))


def _changed(changes: list[list[str]]) -> Config:
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["split"]["fold"] = FOLD
    for key, value in changes:
        section, *rest = key.split(".")
        at: dict[str, Any] = raw[section]
        for part in rest[:-1]:
            at = at[part]
        at[rest[-1]] = yaml.safe_load(value)
    return parse(raw, "the changed params.yaml")


def _data(config: Config, name: str, changes: dict[str, int]) -> Sites:
    folder = Path("build/learn") / f"{name}-{config.image.size}"
    for number, site in enumerate(config.phantom):
        if (folder / site / "index.json").is_file():
            continue
        spec = config.phantom[site].model_copy(update={**changes, "seed": changes["seed"] + number})
        phantom.write(spec, folder / "raw" / site)
        prepare(site, config, folder / "raw" / site, folder / site)
    return {site: store.read(folder / site) for site in sorted(config.sites)}


def _federated(config: Config, studies: Sites, restart: bool) -> MultiTask:
    name = config.federation.strategy
    strategy = find("mtmed.aggregation", name, "strategy").Strategy(**config.strategies.get(name, {}))
    model = GlobalModel(0, checkpoint.weights(build(config.architecture, config.federation.seed)))
    kept: dict[str, Moments] = {site: {} for site in studies}

    def one(site: str) -> SiteUpdate:
        net = checkpoint.network(model.mean, config.architecture)
        moments: Moments = {} if restart else kept[site]
        return local_round(net, studies[site], config, site, model.round, Stopwatch(), moments)

    with ThreadPoolExecutor(config.federation.concurrency) as pool:
        for _ in range(config.federation.rounds):
            model = strategy.aggregate(model, list(pool.map(one, studies)))
    return checkpoint.network(model.mean, config.architecture)


def _pooled(config: Config, studies: Sites) -> MultiTask:
    net = build(config.architecture, config.federation.seed)
    everyone, kept = [s for site in studies.values() for s in site], dict[str, torch.Tensor]()
    for round in range(config.federation.rounds):
        seeds = generator(config.federation.seed, round, "pooled", "train")
        train(net, everyone, config.training, Span(round, config.federation.rounds), seeds, kept)
    return net


def _tested(net: MultiTask, studies: Sites) -> dict[str, list[float]]:
    """{"head metric": [mean, worst]} over the sites."""
    found: dict[str, list[float]] = {}
    for site in studies.values():
        for head, (observations, _) in observe(net, site).items():
            values = metrics_of(net.architecture, head, observations)
            for metric in SHOWN:
                if metric in values:
                    found.setdefault(f"{head} {metric}", []).append(values[metric])
    return {name: [round(sum(v) / len(v), 3), round(min(v), 3)] for name, v in found.items()}


if __name__ == "__main__":
    typer.run(main)
