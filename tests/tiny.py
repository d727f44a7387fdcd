"""The smallest problem with every kind of head: 64 pixels, bright squares as lesions, a narrow decoder."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtmed.models.multitask import MultiTask, build
from mtmed.specs import TrainingSpec
from mtmed.training.seeds import generator
from mtmed.types import Architecture, HeadSpec, Study

torch.set_num_threads(1)  # as tasks/dispatch.py does at a site; small problems are slower on two

SIZE = 64
MODALITIES = ("mammography",)
SEGMENTATION = HeadSpec("lesion_segmentation", "segmentation", ("left", "right"), MODALITIES)
DETECTION = HeadSpec("lesion_detection", "detection", ("left", "right"), MODALITIES)
CLASSIFICATION = HeadSpec("malignancy", "classification", ("left", "right"), MODALITIES)
REGRESSION = HeadSpec("lesion_width", "regression", ("left", "right"), MODALITIES)
HEADS = (SEGMENTATION, DETECTION, CLASSIFICATION, REGRESSION)


def architecture(encoder: str = "test_convnext", heads: Sequence[HeadSpec] = HEADS) -> Architecture:
    """All heads on an encoder; timm has `test_*` models for tests, a hundredth of the size of real ones."""
    return Architecture(encoder, 8, SIZE, tuple(heads))


def network(encoder: str = "test_convnext", seed: int = 0) -> MultiTask:
    return build(architecture(encoder), seed)


def opinionated(net: MultiTask) -> MultiTask:
    """A network whose untrained heads say different things of different places, as trained ones do."""
    with torch.no_grad():
        for name, parameter in net.heads.named_parameters():
            if parameter.ndim > 1:
                parameter.add_(torch.randn(parameter.shape, generator=seeds("opinionated", name)), alpha=0.2)
    return net


def training(**changes: Any) -> TrainingSpec:
    spec = {"epochs": 2, "batch_size": 4, "learning_rate": 3e-3, "precision": "float32", "fisher_images": 6}
    return TrainingSpec.model_validate(spec | {"warmup_rounds": 0} | changes)


def studies(
    count: int = 6, seed: int = 0, labelled: Mapping[str, Sequence[bool]] | None = None, split: str = "train"
) -> list[Study]:
    """Images with lesions left, right, both or none; `labelled` gives the known classes by head."""
    labels = labelled if labelled is not None else {h.name: [True, True] for h in HEADS}
    return [_study(f"s{seed}-{n}", n, np.random.default_rng([seed, n]), labels, split) for n in range(count)]


def _study(name: str, n: int, rng: np.random.Generator, labelled: Mapping[str, Sequence[bool]], split: str) -> Study:
    image = rng.uniform(0, 0.3, (SIZE, SIZE)).astype(np.float32)
    mask = np.zeros((2, SIZE, SIZE), bool)
    boxes, sides = [], [k for k in (0, 1) if n % 4 in ((1, 3), (2, 3))[k]]
    for side in sides:
        x, y, width = (
            4 + 32 * side + int(rng.integers(0, 8)),
            int(rng.integers(8, 32)),
            int(rng.integers(12, 20)),
        )
        mask[side, y : y + width, x : x + width] = True
        boxes.append([x, y, x + width, y + width])
    image[mask.any(0)] += 0.6
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Study(
        study=name,
        patient=name,
        modality=MODALITIES[0],
        split=split,
        image=image,
        masks={SEGMENTATION.name: mask},
        boxes={DETECTION.name: (xyxy, np.array(sides, np.int64))},
        values={
            CLASSIFICATION.name: mask.any((1, 2)).astype(np.float32),
            REGRESSION.name: mask.any(1).sum(1).astype(np.float32),  # in pixels; 0 where there is none
        },
        labelled={head: np.array(known, bool) for head, known in labelled.items()},
    )


def seeds(*parts: object) -> torch.Generator:
    return generator("tests", *parts)


def state(net: MultiTask) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def differing(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> set[str]:
    """The names whose tensors are not bit-equal."""
    assert a.keys() == b.keys()
    return {name for name in a if not torch.equal(a[name], b[name])}
