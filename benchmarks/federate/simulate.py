"""A federation without servers: the product's own local rounds and strategies, in one process and one thread."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

from benchmarks.federate.cells import Sites
from mtmed import checkpoint
from mtmed.aggregation.incoming import Gate, Hops
from mtmed.aggregation.relay import as_one, handed_on
from mtmed.config import Config
from mtmed.errors import UserError
from mtmed.evaluation.glossary import term
from mtmed.evaluation.points import metrics_of
from mtmed.models.engine import Model
from mtmed.models.ensemble import Ensemble, Member
from mtmed.models.multitask import MultiTask, build
from mtmed.training.corrections._base import others
from mtmed.training.local import Span, labels, train
from mtmed.training.observe import observe
from mtmed.training.optimizer import Moments
from mtmed.training.seeds import generator
from mtmed.types import GlobalModel, SiteUpdate, Study
from tasks.stopwatch import Stopwatch
from tasks.train_site import local_round

Metrics = dict[str, dict[str, float]]  # by head
Models = dict[str, MultiTask]  # by site
Watch = Callable[[int, Models], None]


@dataclass
class _Site:
    """What a site keeps between rounds."""

    studies: Sequence[Study]
    moments: Moments
    sent: SiteUpdate | None = None  # in the last round


def federate(config: Config, sites: Sites, watch: Watch) -> Models:
    """The global model as the sites have it after all rounds; `watch` sees it after each."""
    seed, kinds = config.federation.seed, {h.name: h.kind for h in config.heads.values()}
    model, state = GlobalModel(0, checkpoint.weights(build(config.architecture, seed))), dict[str, Tensor]()
    kept = {name: _Site(studies, {}) for name, studies in sites.items()}
    for round in range(config.federation.rounds):
        chains = config.strategy.order.chains(list(sites), round, config.federation.rounds)
        gate = Gate(config.federation.gate.move, config.federation.gate.precision)
        hops = Hops(gate)
        sent = [_chain(config, model, {name: kept[name] for name in chain}, hops) for chain in chains]
        merged = config.strategy.aggregate(model, [as_one(u) for u in sent if u], kinds, state, gate)
        for name in merged.refused.keys() & kept.keys():
            kept[name].sent = None
        model, state = merged.model, merged.state
        watch(round + 1, {name: _network(config, model, site) for name, site in kept.items()})
    return {name: _network(config, model, site) for name, site in kept.items()}


def _chain(config: Config, model: GlobalModel, sites: Mapping[str, _Site], hops: Hops) -> list[SiteUpdate]:
    """What sites send that train in turn."""
    updates = []
    for name, site in sites.items():
        before, update = site.sent, _update(config, model, name, site)
        site.sent = update
        if len(sites) > 1:
            try:
                hops.expect(model, update)
            except UserError:
                site.sent = None
                continue
            model = handed_on(model, update, before)
        updates.append(update)
    return updates


def _update(config: Config, model: GlobalModel, name: str, site: _Site) -> SiteUpdate:
    net = _network(config, model, site)
    return local_round(
        net, site.studies, config, name, model.round, Stopwatch(), site.moments, others(model, site.sent)
    )


def _network(config: Config, model: GlobalModel, site: _Site) -> MultiTask:
    """The global model with what is the site's own."""
    net = checkpoint.network(model.mean, config.architecture)
    if site.sent is not None:
        own = {name: site.sent.mean[name] for name in config.strategy.personal.names(net)}
        checkpoint.load_weights(net, {**model.mean, **own})
    return net


def alone(config: Config, studies: Sequence[Study], name: str) -> MultiTask:
    """One model on these studies, with the federation's number of passes."""
    net = build(config.architecture, config.federation.seed)
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


def measured(models: Mapping[str, Model], test: Sites, owners: Mapping[str, set[str]] | None = None) -> Metrics:
    """Each site's model on its own test patients: the mean over sites, the worst (`.worst`) and all (`.<site>`).

    Args:
        owners: the sites that count for a head; without it, all.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for site, studies in test.items():
        for head, (observations, _) in observe(models[site], studies).items():
            if owners is None or site in owners[head]:
                for metric, value in metrics_of(models[site].architecture, head, observations).items():
                    found.setdefault(head, {}).setdefault(metric, {})[site] = value
    return {head: _flat(metrics) for head, metrics in found.items()}


def _flat(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    out: dict[str, float] = {}
    for metric, by_site in metrics.items():
        worst = min if term(metric).higher_is_better else max
        out |= {metric: fmean(by_site.values()), f"{metric}.worst": worst(by_site.values())}
        out |= {f"{metric}.{site}": value for site, value in by_site.items()}
    return out


def owners(sites: Sites, config: Config) -> dict[str, set[str]]:
    """The sites that have labels of each head."""
    counts = {site: labels(studies, config.heads) for site, studies in sites.items()}
    return {head: {site for site, known in counts.items() if known[head]} for head in config.heads}
