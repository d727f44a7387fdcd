"""The evaluation at a site: the models on its test patients; numbers leave, pictures stay."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtmed import checkpoint
from mtmed.config import Config
from mtmed.data import store
from mtmed.evaluation import exchange as text
from mtmed.evaluation.baseline import observe_threshold
from mtmed.evaluation.head import evaluate_head
from mtmed.models.multitask import MultiTask
from mtmed.registry import find
from mtmed.training.observe import observe
from mtmed.types import HeadEvaluation, SiteEvaluation, Study
from tasks.draw_site import draw_site
from tasks.jobs import Job, evaluation_key
from tasks.memory import Memory
from tasks.site import Place
from tasks.stopped import or_stopped
from tasks.train_alone import own_model

Evidence = dict[str, tuple[list[Any], list[str]]]


def evaluate_site(place: Place, job: Job) -> dict[str, Any]:
    """Put the site's `SiteEvaluation` into the exchange; {key, bytes}."""
    config = job.parsed()
    studies = store.read(place.data, None)
    test = [s for s in studies if s.split == "test"]
    networks = _networks(place, job, config)
    evidence = or_stopped(
        f"site {place.site!r}, evaluation",
        place.stopped(f"{job.run}-evaluation"),
        lambda: {name: observe(net, test) for name, net in networks.items()},
    )
    if "threshold" in config.evaluation.references:
        evidence["threshold"] = _threshold(studies, config)
    evaluation = SiteEvaluation(place.site, {m: _heads(e, config, place.site) for m, e in evidence.items()})
    if config.evaluation.overlays and "global" in networks:
        draw_site(networks["global"], test, place.state / "overlays")
    key = evaluation_key(job.run, place.site)
    sent = place.exchange.put(key, text.to_json(evaluation).encode())
    Memory(place.state, job.run).forget()
    return {"site": place.site, "key": key, "sent": sent}


def _networks(place: Place, job: Job, config: Config) -> dict[str, MultiTask]:
    """The networks to compare, by name: what the job names, and the site's own."""
    networks = {
        name: checkpoint.network(checkpoint.read_mean(place.exchange.get(key), key), config.architecture)
        for name, key in job.models.items()
    }
    own: Path = own_model(place, config)
    if "local" in config.evaluation.references and own.is_file():
        networks["local"] = checkpoint.load_network(own)[0]
    return networks


def _threshold(studies: Sequence[Study], config: Config) -> Evidence:
    train, test = ([s for s in studies if s.split == split] for split in ("train", "test"))
    heads = [h for h in config.heads.values() if h.kind == "segmentation"]
    found = {h.name: observe_threshold(train, test, h.name) for h in heads}
    return {name: evidence for name, evidence in found.items() if evidence is not None}


def _heads(evidence: Evidence, config: Config, site: str) -> dict[str, HeadEvaluation]:
    seed = int.from_bytes(hashlib.sha256(f"{config.federation.seed}/{site}".encode()).digest()[:4], "big")
    out = {}
    for head, (observations, patients) in evidence.items():
        kind = find("mtmed.heads", config.heads[head].kind, "head kind")
        out[head] = evaluate_head(
            observations, patients, kind.metrics, kind.probabilities, config.evaluation.replicates, seed
        )
    return out
