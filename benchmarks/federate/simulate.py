"""A federation in one process: the product's own rounds, exchange and sites, without Prefect and MLflow."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.federate.attacks import Train
from benchmarks.federate.cells import Sites
from mtmed import checkpoint
from mtmed.config import Config
from mtmed.data import store
from mtmed.evaluation.glossary import term
from mtmed.evaluation.points import metrics_of
from mtmed.models.engine import Model
from mtmed.models.ensemble import Ensemble, Member
from mtmed.models.multitask import MultiTask, build
from mtmed.training.local import Span, labels, train
from mtmed.training.observe import observe
from mtmed.training.optimizer import Moments
from mtmed.training.seeds import generator
from mtmed.types import GlobalModel, Study
from tasks import federation
from tasks.exchange import Exchange
from tasks.initial_model import settled
from tasks.jobs import Job, model_key
from tasks.personal import with_own
from tasks.site import Place
from tasks.survey_site import survey_site
from tasks.train_site import train_site

Metrics = dict[str, dict[str, float]]  # by head
Models = dict[str, MultiTask]  # by site
Watch = Callable[[int, Models], None]
Records = list[dict[str, Any]]


def federate(
    config: Config, sites: Sites, watch: Watch, train_site: Train = train_site, apart: bool = False
) -> Records:
    """The records of all rounds; `watch` sees the global model after each, as the sites have it.

    Args:
        apart: whether each site brings a network of its own initialisation.
    """
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        spec = config.federation.model_copy(update={"exchange": f"{folder}/exchange"})
        config = settled(config.model_copy(update={"federation": spec}))
        exchange = Exchange(spec.exchange)
        places = {site: _place(Path(folder), site, studies, exchange) for site, studies in sites.items()}
        if apart:
            places = {site: replace(place, start=_drawn(config, place)) for site, place in places.items()}
        surveys = [survey_site(places[job.site], job) for job in federation.jobs(config, "surveys")]
        run = federation.open_run(config, surveys)
        for round in range(spec.rounds):
            turns = federation.turns(run, config, round)
            for jobs in turns:
                turns.take([train_site(places[job.site], job) for job in jobs])
            federation.close_round(run, config, federation.aggregate_round(run, config, round, turns))
            ended = federation.jobs(config, run.key, round + 1, {"global": model_key(run.key, round + 1)})
            watch(round + 1, {job.site: _as_seen(config, places[job.site], job) for job in ended})
        return run.records


def _place(folder: Path, site: str, studies: Sequence[Study], exchange: Exchange) -> Place:
    data = folder / "data" / site
    store.write(data, studies)
    (data / "summary.json").write_text(json.dumps({"quarantined": {}}))
    return Place(site, data, folder / "state" / site, exchange)


def _drawn(config: Config, place: Place) -> Path:
    """The file of a network of the site's own initialisation."""
    net, path = build(config.architecture, own_seed(config, place.site)), place.state / "own.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(checkpoint.model_bytes(GlobalModel(0, checkpoint.weights(net)), config.architecture))
    return path


def own_seed(config: Config, site: str) -> int:
    """Of the network that a site brings."""
    return 1000 * (config.federation.seed + 1) + sorted(config.sites).index(site)


def _as_seen(config: Config, place: Place, job: Job) -> MultiTask:
    """The global model with what is the site's own."""
    mean = checkpoint.read_mean(place.exchange.get(job.models["global"]))
    return checkpoint.network(with_own(mean, place, job, config), config.architecture)


def alone(config: Config, studies: Sequence[Study], name: str, seed: int | None = None) -> MultiTask:
    """One model on these studies, with the federation's number of passes.

    Args:
        seed: of its initialisation; without it, the federation's.
    """
    net = build(config.architecture, config.federation.seed if seed is None else seed)
    kept: Moments = {}
    for round in range(config.federation.rounds):
        seeds = generator(config.federation.seed, round, name, "train")
        train(net, studies, config.training, Span(round, config.federation.rounds), seeds, kept)
    return net


def ensembles(nets: Mapping[str, MultiTask], owners: Mapping[str, set[str]]) -> dict[str, Model]:
    """The ensemble of all sites' own models, for each site; a model answers for the heads that its site labels."""
    heads = {site: frozenset(head for head, sites in owners.items() if site in sites) for site in nets}
    everyone = Ensemble([Member(net, heads[site]) for site, net in nets.items()])
    return dict.fromkeys(nets, everyone)


def measured(models: Mapping[str, Model], test: Sites, owners: Mapping[str, set[str]]) -> Metrics:
    """Each site's model on its own test patients.

    The mean over the sites that have labels of a head, the worst of them (`.worst`), and every site (`.<site>`): other
    sites have learnt nothing of a head alone, so they are no measure of what a federation gives.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for site, studies in test.items():
        for head, (observations, _) in observe(models[site], studies).items():
            for metric, value in metrics_of(models[site].architecture, head, observations).items():
                found.setdefault(head, {}).setdefault(metric, {})[site] = value
    return {head: _flat(metrics, owners[head]) for head, metrics in found.items()}


def _flat(metrics: Mapping[str, Mapping[str, float]], owners: set[str]) -> dict[str, float]:
    out: dict[str, float] = {}
    for metric, by_site in metrics.items():
        worst = min if term(metric).higher_is_better else max
        own = [value for site, value in by_site.items() if site in owners]
        if own:
            out |= {metric: fmean(own), f"{metric}.worst": worst(own)}
        out |= {f"{metric}.{site}": value for site, value in by_site.items()}
    return out


def traffic(records: Records) -> dict[str, float]:
    """Bytes of a site in a round, on average: those that it sent and those that it received."""
    answers = [answer for record in records for answer in record["sites"]]
    return {way: fmean(answer[way] for answer in answers) for way in ("sent", "received")}


def owners(sites: Sites, config: Config) -> dict[str, set[str]]:
    """The sites that have labels of each head."""
    counts = {site: labels(studies, config.heads) for site, studies in sites.items()}
    return {head: {site for site, known in counts.items() if known[head]} for head in config.heads}
