"""A site that does harm: by its labels, or by what it says of its training."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from mtmed import checkpoint
from mtmed.types import Array, Study
from tasks.jobs import Job
from tasks.site import Place
from tasks.train_site import train_site

ATTACKER = "fir"
Train = Callable[[Place, Job], dict[str, Any]]


def flipped(studies: Sequence[Study]) -> list[Study]:
    """All labels wrong: lesions are where none are, boxes are mirrored, and whoever is ill is well."""
    return [_flipped(study) for study in studies]


def _flipped(study: Study) -> Study:
    wrong: dict[str, Any] = {
        "masks": {head: ~mask for head, mask in study.masks.items()},
        "boxes": {
            head: (_mirrored(xyxy, study.image.shape[1]), classes) for head, (xyxy, classes) in study.boxes.items()
        },
        "values": {head: 1 - value for head, value in study.values.items()},
    }
    return Study(**{field.name: getattr(study, field.name) for field in fields(Study)} | wrong)


def _mirrored(xyxy: Array, width: int) -> Array:
    return np.stack([width - xyxy[:, 2], xyxy[:, 1], width - xyxy[:, 0], xyxy[:, 3]], 1)


def scaled(times: float) -> Train:
    """Sites train as they do, and the attacker says that it went so many times as far."""

    def train(place: Place, job: Job) -> dict[str, Any]:
        answer = train_site(place, job)
        if place.site == ATTACKER:
            start = checkpoint.read_mean(place.exchange.get(job.models["start"]))
            update = checkpoint.read_update(place.exchange.get(answer["key"]))
            forged = {name: start[name] + times * (value - start[name]) for name, value in update.mean.items()}
            place.exchange.put(answer["key"], checkpoint.update_bytes(replace(update, mean=forged)))
        return answer

    return train
