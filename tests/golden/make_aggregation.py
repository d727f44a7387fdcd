"""Small fixed updates and what each strategy makes of them, kept in aggregation.json.

After an intended change of the mathematics run `python -m tests.golden.make_aggregation` and say why in
CHANGELOG.md.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mtmed.aggregation.strategy import NAMED, Strategy, strategy
from mtmed.types import GlobalModel, SiteUpdate

PATH = Path(__file__).with_name("aggregation.json")
SHAPES = {"encoder.w": (2, 3), "encoder.running_mean": (2,), "heads.masks.w": (2, 2), "heads.finding.b": (3,)}
KINDS = {"masks": "segmentation", "finding": "classification"}
LABELS = {"alder": {"masks": 8, "finding": 3}, "birch": {"finding": 20}, "cedar": {"masks": 1, "finding": 0}}


def wave(shape: tuple[int, ...], phase: float) -> torch.Tensor:
    """Numbers that need no random generator."""
    count = math.prod(shape)
    return torch.tensor([math.sin(2.3 * n + phase) for n in range(count)]).reshape(shape)


def updates() -> tuple[GlobalModel, list[SiteUpdate]]:
    """A model and three sites: with all labels, with one head, and with a label but no precision of it."""
    model = GlobalModel(4, {n: wave(s, i) for i, (n, s) in enumerate(SHAPES.items())})
    return model, [_update(k, site) for k, site in enumerate(LABELS)]


def _update(k: int, site: str) -> SiteUpdate:
    mean = {n: wave(s, 5 * k + i + 1) for i, (n, s) in enumerate(SHAPES.items())}
    sure = {n: 10**k * wave(s, 7 * k + i).clamp(min=0) for i, (n, s) in enumerate(SHAPES.items())}
    known = {f"heads.{head}" for head, count in LABELS[site].items() if count and site != "cedar"}
    precision = {n: p for n, p in sure.items() if n == "encoder.w" or n.rsplit(".", 1)[0] in known}
    return SiteUpdate(site, 4, mean, precision, LABELS[site], 20 + 5 * k)


def results() -> dict[str, Any]:
    """{strategy: {mean, precision, contributions}}."""
    model, sites = updates()
    found = {name: strategy(name, {}) for name in NAMED}
    found["bayes"] = strategy("bayes", {"alpha": 0.1, "a": 1, "b": 0.5})  # docs/method.md's, every term at work
    found["bayes, the Laplace product"] = strategy("bayes", {"alpha": 0, "a": 1, "b": 1})
    return {name: _result(one, model, sites) for name, one in found.items()}


def _result(one: Strategy, model: GlobalModel, sites: list[SiteUpdate]) -> dict[str, Any]:
    first = one.aggregate(model, sites, KINDS)
    again = one.aggregate(first.model, [replace(u, round=5) for u in sites], KINDS, first.state)
    return {
        "mean": {n: v.flatten().tolist() for n, v in first.model.mean.items()},
        "mean, a round later": {n: v.flatten().tolist() for n, v in again.model.mean.items()},
        "precision": {n: v.flatten().tolist() for n, v in first.model.precision.items()},
        "contributions": first.shares,
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(results(), indent=1) + "\n")
