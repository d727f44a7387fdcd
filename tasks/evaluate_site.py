"""The evaluation at a site: the models on its test patients; numbers leave, pictures stay."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mtmed import checkpoint
from mtmed.config import Config
from mtmed.data import store
from mtmed.evaluation import exchange as text
from mtmed.evaluation.baseline import observe_threshold
from mtmed.evaluation.head import evaluate_head
from mtmed.evaluation.temperature import best
from mtmed.models.engine import Model
from mtmed.models.ensemble import Ensemble, Member
from mtmed.registry import find
from mtmed.training.observe import observe
from mtmed.types import HeadEvaluation, SiteEvaluation, Study
from tasks.calibrate_site import curves_of
from tasks.draw_site import draw_site
from tasks.jobs import Job, alone_key, evaluation_key
from tasks.memory import KINDS, Memory
from tasks.personal import with_own
from tasks.site import Place
from tasks.stopped import or_stopped
from tasks.train_alone import own_model

Evidence = dict[str, tuple[list[Any], list[str]]]


def evaluate_site(place: Place, job: Job) -> dict[str, Any]:
    """Put the site's `SiteEvaluation` into the exchange; {site, key, sent}."""
    config = job.parsed()
    studies = store.read(place.data, None)
    test = [s for s in studies if s.split == "test"]
    validation = [s for s in studies if s.split == "validation"]
    tested, heads = or_stopped(
        f"site {place.site!r}, evaluation",
        place.stopped(f"{job.run}-evaluation"),
        partial(_measured, place, job, config, validation, test),
    )
    if "threshold" in config.evaluation.references:
        heads["threshold"] = _heads(_threshold(studies, config), config, place.site, None)
    evaluation = SiteEvaluation(place.site, heads)
    if config.evaluation.overlays and "global" in tested:
        draw_site(tested["global"].net, test, place.state / "overlays")
    key = evaluation_key(job.run, place.site)
    sent = place.exchange.put(key, text.to_json(evaluation).encode())
    for kind in KINDS:
        Memory(place.state, job.run, kind).forget()
    return {"site": place.site, "key": key, "sent": sent}


def _measured(
    place: Place, job: Job, config: Config, validation: Sequence[Study], test: Sequence[Study]
) -> tuple[dict[str, "_Tested"], dict[str, dict[str, HeadEvaluation]]]:
    """What is compared, and what it says of the test patients, by name."""
    tested = _tested(place, job, config, validation)
    return tested, {n: _heads(observe(t.net, test), config, place.site, t.temperatures) for n, t in tested.items()}


@dataclass(frozen=True)
class _Tested:
    """A network that says what training left, and the temperatures that its file has beside: both are measured."""

    net: Model
    temperatures: Mapping[str, float]


def _tested(place: Place, job: Job, config: Config, validation: Sequence[Study]) -> dict[str, _Tested]:
    """What to compare, by name: what the job names, and the site's own, which the site calibrates by itself."""
    tested = {}
    for name, key in job.models.items():
        model, _ = checkpoint.read_model(place.exchange.get(key), key)
        mean = with_own(model.mean, place, job, config) if name == "global" else model.mean
        tested[name] = _Tested(checkpoint.network(mean, config.architecture), model.temperatures)
    own: Path = own_model(place, config)
    if "local" in config.evaluation.references and own.is_file():
        net = checkpoint.load_network(own)[0]
        tested["local"] = _Tested(net, {head: best(c) for head, c in curves_of(net, validation).items()})
    if "ensemble" in config.evaluation.references:
        tested["ensemble"] = _Tested(_ensemble(place, job, config), {})
    return tested


def _ensemble(place: Place, job: Job, config: Config) -> Ensemble:
    """The models that the sites trained alone, each for the heads of which it saw labels."""
    members = []
    for site in config.sites:
        key = alone_key(job.run, site)
        update = checkpoint.read_update(place.exchange.get(key), key)
        learnt = frozenset(head for head, count in update.labelled.items() if count)
        members.append(Member(checkpoint.network(update.mean, config.architecture), learnt))
    return Ensemble(members)


def _threshold(studies: Sequence[Study], config: Config) -> Evidence:
    train, test = ([s for s in studies if s.split == split] for split in ("train", "test"))
    heads = [h for h in config.heads.values() if h.kind == "segmentation"]
    found = {h.name: observe_threshold(train, test, h.name) for h in heads}
    return {name: evidence for name, evidence in found.items() if evidence is not None}


def _heads(
    evidence: Evidence, config: Config, site: str, temperatures: Mapping[str, float] | None
) -> dict[str, HeadEvaluation]:
    seed = int.from_bytes(hashlib.sha256(f"{config.federation.seed}/{site}".encode()).digest()[:4], "big")
    out = {}
    for head, (observations, patients) in evidence.items():
        kind = find("mtmed.heads", config.heads[head].kind, "head kind")
        temperature = None if temperatures is None else temperatures.get(head, 1.0)
        out[head] = evaluate_head(
            observations, patients, kind.metrics, kind.probabilities, config.evaluation.replicates, seed, temperature
        )
    return out
