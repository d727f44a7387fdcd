"""The models that are compared, by name; each is trained on the same patients, for the same time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import timm
import torch
from timm.models import register_model
from torch import nn

from benchmarks.compare.variants import VARIANTS
from mtmed.errors import unknown
from mtmed.models import multitask
from mtmed.models.multitask import MultiTask
from mtmed.types import Architecture, HeadSpec

NARROW = (24, 48, 96, 192)  # ResNet-18 with as many parameters as the default's encoder


@register_model
def resnet18_narrow(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-18 (He et al. 2016) with `NARROW` channels: the convolutional control of the default's size."""
    net: nn.Module = timm.create_model("resnet18", pretrained, channels=NARROW, **options)
    return net


@dataclass(frozen=True)
class Arm:
    """One model, or one for each head.

    Attributes:
        changes: of the cell's configuration, by dotted key.
        body: a network of benchmarks.compare.outside instead of ours.
        alone: one model for each head; they share the budget.
        whole: of the models for each head, each has the whole budget.
        variants: of benchmarks.compare.variants.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    body: str | None = None
    alone: bool = False
    whole: bool = False
    variants: tuple[str, ...] = ()

    def models(self, heads: Sequence[HeadSpec]) -> list[tuple[HeadSpec, ...]]:
        """The heads of each of its models."""
        served = [h for h in heads if self.body is None or h.kind in _kinds(self.body)]
        return [(h,) for h in served] if self.alone else [tuple(served)]

    def build(self, architecture: Architecture, seed: int) -> MultiTask:
        """An untrained network whose weights depend on the seed alone."""
        if self.body is None:
            net = multitask.build(architecture, seed)
            for name in self.variants:
                VARIANTS[name](net)
            return net
        from benchmarks.compare.outside import BODIES, Outside  # seconds to import, and only needed here

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Outside(architecture, BODIES[self.body])


def _kinds(body: str) -> set[str]:
    from benchmarks.compare.outside import KINDS

    return KINDS[body]


ARMS = {
    "multitask": Arm(),
    "single": Arm(alone=True),
    "single-whole": Arm(alone=True, whole=True),
    "convolutional": Arm({"model.encoder": "resnet18_narrow"}),
    "resnet18": Arm({"model.encoder": "resnet18"}),
    "smp-unet": Arm(body="smp-unet"),
    "smp-fpn": Arm(body="smp-fpn"),
    "monai-unet": Arm(body="monai-unet"),
    "monai-unetr": Arm(body="monai-unetr"),
    "monai-swinunetr": Arm(body="monai-swinunetr"),
}


def find(name: str) -> Arm:
    """The arm of that name: `multitask+focal@training.learning_rate=0.001`, with variants, and settings of the cell.

    Raises:
        UserError: there is no such arm or variant.
    """
    base, *variants = name.partition("@")[0].split("+")
    for said, known in ((base, ARMS), *((v, VARIANTS) for v in variants)):
        if said not in known:
            raise unknown("arm", said, known)
    return replace(ARMS[base], variants=tuple(variants))


def settings(label: str) -> dict[str, str]:
    """What a label says after its @: `multitask@training.learning_rate=0.001,model.channels=64`."""
    _, _, text = label.partition("@")
    return dict(part.split("=", 1) for part in text.split(",") if part)


def labelled(label: str, settings: Mapping[str, str]) -> str:
    """The label with these settings after its @."""
    said = ",".join(f"{key}={value}" for key, value in settings.items())
    return f"{label.partition('@')[0]}@{said}" if said else label
