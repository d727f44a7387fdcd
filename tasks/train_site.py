"""One round at one site: the global model in, a `SiteUpdate` out."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from mtmed import checkpoint, lineage
from mtmed.config import Config
from mtmed.data import store
from mtmed.evaluation.points import metrics_of
from mtmed.models.multitask import MultiTask
from mtmed.training import device, fisher
from mtmed.training.corrections._base import Others, Reference
from mtmed.training.local import Span, labels, train
from mtmed.training.observe import observe
from mtmed.training.optimizer import Moments
from mtmed.training.seeds import generator
from mtmed.types import SiteUpdate, Study
from tasks import brought
from tasks.jobs import Job
from tasks.memory import Memory
from tasks.personal import with_own
from tasks.site import Place
from tasks.stopped import Trained, or_stopped
from tasks.stopwatch import Stopwatch
from tasks.wire import SiteWire


def train_site(place: Place, job: Job) -> dict[str, Any]:
    """Train at the site and put its update into the exchange; {site, key, sent, received, metrics, labelled, spans}."""
    config = job.parsed()
    watch = Stopwatch()
    wire = SiteWire(place, job, config)
    with watch("exchange"):
        file = wire.start()
        start = checkpoint.read_mean(file, job.models["start"], wire.known)
        mean = with_own(start, place, job, config, wire.known)
        mean = brought.started(place, config, mean) if job.round == 0 else mean
    with watch("state"):
        studies = store.read(place.data, None)
        net = checkpoint.network(mean, config.architecture).to(device.pick())
        memory = Memory(place.state, job.run)
        kept = memory.read(job.round)
    others = _others(job, config, wire, file)
    origin = {"data": place.digest(), "code": lineage.code(), "run": job.run, **brought.origin(place)}
    update = or_stopped(
        f"site {place.site!r}, round {job.round + 1}",
        place.stopped(f"{job.run}-{job.round:03d}"),
        partial(local_round, net, studies, config, place.site, job.round, watch, kept, others),
        Trained(net, kept, job.round, origin),
    )
    update = replace(update, lineage=origin)
    with watch("state"):
        memory.write(job.round, kept)
    with watch("exchange"):
        key, sent = wire.send(update, start)
    return {
        "site": place.site,
        "key": key,
        "sent": sent,
        "received": wire.received,
        "metrics": update.metrics,
        "labelled": update.labelled,
        "spans": watch.spans,
    }


def local_round(
    net: MultiTask,
    studies: Sequence[Study],
    config: Config,
    site: str,
    round: int,
    watch: Stopwatch,
    kept: Moments,
    others: Others = Others(),  # noqa: B008  (frozen)
) -> SiteUpdate:
    """Validate the model that came, train it in place, and measure the precision if the strategy asks for it.

    `kept`, the optimiser's moments after the last round, become those after this one. `others` is what the site knows
    of the others' last round.
    """
    training = [s for s in studies if s.split == "train"]
    seed = (config.federation.seed, round, site)
    with watch("validate"):
        metrics = _validation(net, [s for s in studies if s.split == "validation"])
    with watch("train"):
        span = Span(round, config.federation.rounds)
        reference = Reference(checkpoint.weights(net), len(training), others)
        correct = config.strategy.correction.hook(net, reference)
        losses = train(net, training, config.training, span, generator(*seed, "train"), kept, correct)
    with watch("fisher"):
        asked = config.strategy.asks_precision(list(config.sites), round, config.federation.rounds)
        precision = _precision(net, training, config, seed) if asked else {}
    metrics |= {f"train/{head}": loss for head, loss in losses.items()}
    labelled = labels(training, net.heads)
    weights, gradient = checkpoint.weights(net), correct.gradient()
    return SiteUpdate(site, round, weights, precision, labelled, len(training), metrics, gradient=gradient)


def _others(job: Job, config: Config, wire: SiteWire, file: bytes) -> Others:
    """What the global model says of the other sites."""
    correction = config.strategy.correction
    if not (correction.needs_precision or correction.needs_gradient):
        return Others()
    return wire.others(checkpoint.read_model(file, job.models["start"], wire.known)[0])


def _precision(
    net: MultiTask, studies: Sequence[Study], config: Config, seed: tuple[object, ...]
) -> dict[str, torch.Tensor]:
    values = fisher.precision(net, studies, config.training, generator(*seed, "fisher"))
    return {name: value.cpu() for name, value in values.items()}


def _validation(net: MultiTask, studies: Sequence[Study]) -> dict[str, float]:
    """`validation/<head>/<metric>` of the model as it came from the coordinator."""
    return {
        f"validation/{head}/{name}": value
        for head, (observations, _) in observe(net, studies).items()
        for name, value in metrics_of(net.architecture, head, observations).items()
    }
