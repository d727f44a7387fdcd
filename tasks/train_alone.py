"""The references of the evaluation: a site that trains alone, and one model on the data of all."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from mtmed import checkpoint, lineage
from mtmed.config import Config
from mtmed.data import store
from mtmed.models.multitask import MultiTask
from mtmed.training import device
from mtmed.training.local import Span, labels, train
from mtmed.training.optimizer import Moments
from mtmed.training.seeds import generator
from mtmed.types import GlobalModel, SiteUpdate, Study
from tasks import brought
from tasks.exchange import Exchange
from tasks.initial_model import initial_key, origin, read_mean
from tasks.jobs import Job, alone_key
from tasks.site import Place
from tasks.stopped import Trained, or_stopped


def train_alone(place: Place, job: Job) -> dict[str, Any]:
    """Train the site's own model with the budget of the federation; it stays at the site.

    Where the ensemble of the sites is a reference, the model goes to the exchange as an update would.
    """
    config = job.parsed()
    path, studies = own_model(place, config), store.read(place.data, "train")
    said = {
        "data": place.digest(),
        "code": lineage.code(),
        "site": place.site,
        **origin(config),
        **brought.origin(place),
    }
    if not path.is_file():
        start = brought.started(place, config, read_mean(place.exchange, job.models["start"]))
        _keep(path, _train_all_rounds(config, start, studies, place.site, place.stopped(path.stem), said), said)
    if "ensemble" in config.evaluation.references:
        mean, labelled = checkpoint.read_mean(path.read_bytes()), labels(studies, list(config.heads))
        update = SiteUpdate(place.site, config.federation.rounds, mean, {}, labelled, len(studies), lineage=said)
        place.exchange.put(alone_key(job.run, place.site), checkpoint.update_bytes(update))
    return {"site": place.site}


def train_pooled(config: Config, places: Sequence[Place], path: Path) -> None:
    """Train on the data of all sites together: possible only where they may meet, so a ceiling, not a rival."""
    if not path.is_file():
        studies = [s for place in places for s in store.read(place.data, "train")]
        said = {"code": lineage.code(), "site": "pooled", **origin(config)}
        start = read_mean(Exchange(config.federation.exchange), initial_key(config))
        stopped = path.parent / "stopped" / path.stem
        _keep(path, _train_all_rounds(config, start, studies, "pooled", stopped, said), said)


def own_model(place: Place, config: Config) -> Path:
    """Where the site keeps the model that it trained alone, by what it depends on."""
    return place.state / f"alone-{reference_key(config, [place])}.safetensors"


def reference_key(config: Config, places: Sequence[Place]) -> str:
    """What a reference depends on: not strategy, gate or coding, so that federations share their references."""
    depends = lineage.training(config, "local") | {"sites": [p.site for p in places], "gate": {}, "coding": {}}
    data = ["/".join([p.digest(), *brought.origin(p).values()]) for p in places]
    return lineage.digest({"training": depends, "code": lineage.code(), "data": data})


def _train_all_rounds(
    config: Config,
    start: Mapping[str, Tensor],
    studies: Sequence[Study],
    name: str,
    stopped: Path,
    said: dict[str, str],
) -> MultiTask:
    net = checkpoint.network(start, config.architecture).to(device.pick())
    kept: Moments = {}
    for round in range(config.federation.rounds):
        seeds = generator(config.federation.seed, round, name, "train")
        span = Span(round, config.federation.rounds)
        work = partial(train, net, studies, config.training, span, seeds, kept)
        or_stopped(f"reference {name!r}, round {round + 1}", stopped, work, Trained(net, kept, round, said))
        print(f"{name}: {round + 1} of {config.federation.rounds} rounds alone", flush=True)
    return net


def _keep(path: Path, net: MultiTask, said: dict[str, str]) -> None:
    model = GlobalModel(0, checkpoint.weights(net), lineage=said)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(checkpoint.model_bytes(model, net.architecture))
    part.replace(path)
