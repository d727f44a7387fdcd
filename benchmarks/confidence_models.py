"""The phantoms and the models of benchmarks/confidence.py, and how each arm predicts.

Models are trained once and kept in build/confidence; phantoms in build/learn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import learn
from mtmed import checkpoint
from mtmed.models import encoder
from mtmed.models.multitask import MultiTask, build, standardise
from mtmed.training.local import Span, train
from mtmed.training.observe import predict
from mtmed.training.seeds import generator
from mtmed.types import Array, GlobalModel, Study

HEADS = ("lesion_segmentation", "malignancy", "pneumonia")
SETTINGS = {"image.size": 64, "training.batch_size": 8, "training.epochs": 2, "federation.rounds": 10}
PATIENTS = {"confidence-train": {"patients": 60, "seed": 100}, "confidence-test": {"patients": 60, "seed": 900}}
RATE, SAMPLES, MEMBERS = 0.2, 10, 3  # of dropout, of its samples, of an ensemble
KEPT = Path("build/confidence")

Predict = Callable[[Tensor, str], Tensor]  # images [B,1,S,S] and a head -> probabilities [B,K,...]


@dataclass(frozen=True)
class Part:
    """The studies of a split that are labelled for a head of one class: truth [N,...] and (site, patient) of each."""

    studies: Sequence[Study]
    truth: Array
    owners: Sequence[tuple[str, str]]


@cache
def _config(seed: int) -> Any:
    config = learn.changed(Path("params.yaml"), SETTINGS | {"federation.seed": seed})
    return config.model_copy(update={"heads": {name: config.heads[name] for name in HEADS}})


@cache
def _sites(name: str) -> learn.Sites:
    return learn._written(_config(0), name, PATIENTS[name])


def _split(split: str) -> learn.Sites:
    """`train`, `validation` (a tenth of the patients), `spare` (a fold that nothing else uses), `test` (others)."""
    if split == "test":
        return _sites("confidence-test")
    return learn._part(_sites("confidence-train"), "test" if split == "spare" else split)


@cache
def part(split: str, head: str) -> Part:
    """The studies of a split that a head knows."""
    found = [(site, s) for site, studies in _split(split).items() for s in studies]
    found = [(site, s) for site, s in found if head in s.labelled and s.labelled[head].all()]
    truth = [s.masks[head][0] if head in s.masks else s.values[head][0] > 0 for _, s in found]
    return Part([s for _, s in found], np.stack(truth), [(site, s.patient) for site, s in found])


def said(how: Predict, split: str, head: str) -> Array:
    """Probabilities [N,...] of a part's studies."""
    images = [torch.from_numpy(s.image)[None] for s in part(split, head).studies]
    batches = [torch.stack(images[i : i + 32]) for i in range(0, len(images), 32)]
    return np.concatenate([how(batch, head)[:, 0].numpy() for batch in batches])


def predictor(arm: str, seed: int) -> Predict:
    """How an arm predicts with its models of a seed."""
    if arm == "ensemble":
        nets = [_model("plain", seed + member) for member in range(MEMBERS)]
        return lambda images, head: torch.stack([predict(net, images, [head])[head] for net in nets]).mean(0)
    if arm.startswith("dropout"):
        net = _model("dropout-trained" if arm == "dropout-trained" else "plain", seed)
        return lambda images, head: _sampled(net, images, head, seed)
    net = _model(arm, seed)
    return lambda images, head: predict(net, images, [head])[head]


@torch.no_grad()
def _sampled(net: MultiTask, images: Tensor, head: str, seed: int) -> Tensor:
    """Monte-Carlo dropout (Gal and Ghahramani 2016) of what the decoder reads; the encoder runs once."""
    net.eval()
    features, decoder = encoder.maps(net.encoder, standardise(images)), net.decoder(head)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        samples = [decoder.predict(decoder(_dropped(features), images.shape[-1])) for _ in range(SAMPLES)]
    return torch.stack(samples).mean(0)


def _dropped(features: Sequence[Tensor]) -> list[Tensor]:
    return [F.dropout2d(f, RATE) for f in features]


@cache
def _model(arm: str, seed: int) -> MultiTask:
    path = KEPT / f"{arm}-{seed}.safetensors"
    if not path.is_file():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of dropout in training
            net = learn._federated(_config(seed), _split("train"), False) if arm == "federated" else _pooled(arm, seed)
        KEPT.mkdir(parents=True, exist_ok=True)
        model = GlobalModel(0, checkpoint.weights(net))
        path.with_suffix(".part").write_bytes(checkpoint.model_bytes(model, net.architecture))
        path.with_suffix(".part").replace(path)
    return checkpoint.load_network(path)[0].eval()


def _pooled(arm: str, seed: int) -> MultiTask:
    """One model on the data of all sites, with the steps that all sites of a federation take together."""
    config, moments = _config(seed), dict[str, Tensor]()
    studies = [s for site in _split("train").values() for s in site]
    net = build(config.architecture, seed)
    if arm == "dropout-trained":
        for decoder in net.heads.values():
            decoder.register_forward_pre_hook(lambda _, inputs: (_dropped(inputs[0]), inputs[1]))
    for round in range(config.federation.rounds):
        seeds = generator(seed, round, "pooled", "train")
        train(net, studies, config.training, Span(round, config.federation.rounds), seeds, moments)
    return net
