"""Studies as batches: shuffled, augmented and stacked by an explicit generator and nothing else."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from mtmed.registry import find
from mtmed.training import finite
from mtmed.training.augment import augmented
from mtmed.training.sampling import order
from mtmed.types import Batch, Boxes, HeadSpec, Study, Target


def batches(
    studies: Sequence[Study],
    heads: Sequence[HeadSpec],
    batch_size: int,
    generator: torch.Generator,
    augment: bool,
    sampling: str = "uniform",
) -> Iterator[Batch]:
    """As many studies as there are, in an order drawn from `generator`; the last batch may be smaller.

    Args:
        sampling: uniform or balanced (mtmed.training.sampling).
    """
    drawn = order(studies, heads, sampling, generator)
    for start in range(0, len(drawn), batch_size):
        batch = collate([studies[i] for i in drawn[start : start + batch_size]], heads)
        yield augmented(batch, generator, _measured(batch, heads)) if augment else batch


def _measured(batch: Batch, heads: Sequence[HeadSpec]) -> Tensor:
    """[B] bool: the images with a measurement, which would not be true of them at another scale."""
    measuring = [h for h in heads if find("mtmed.heads", h.kind, "head kind").FORM == "measurements"]
    none = torch.zeros(len(batch.images), dtype=torch.bool)
    return torch.stack([none, *(batch.labelled[h.name].any(1) for h in measuring)]).any(0)


def collate(studies: Sequence[Study], heads: Sequence[HeadSpec]) -> Batch:
    """A batch with a target and `labelled` for each of `heads`.

    Where a study lacks a label, or the head does not serve its modality, its target is empty, not labelled.

    Raises:
        NotFinite: an image holds NaN or infinity; here, because to augment may hide an infinity.
    """
    images = torch.from_numpy(np.stack([s.image for s in studies])[:, None])
    names = tuple(s.study for s in studies)
    finite.expect_pixels(images, names)
    return Batch(
        images=images,
        targets={spec.name: _target(studies, spec) for spec in heads},
        labelled={spec.name: _labelled(studies, spec) for spec in heads},
        studies=names,
    )


def _labelled(studies: Sequence[Study], spec: HeadSpec) -> Tensor:
    none = np.zeros(len(spec.classes), bool)
    served = [s.modality in spec.modalities for s in studies]
    rows = [s.labelled.get(spec.name, none) & ok for s, ok in zip(studies, served, strict=True)]
    return torch.from_numpy(np.stack(rows))


def _target(studies: Sequence[Study], spec: HeadSpec) -> Target:
    """A tensor [B,K,H,W] or [B,K] or B boxes, by what the head's kind or the studies themselves hold."""
    if spec.kind == "detection" or any(spec.name in s.boxes for s in studies):
        return [_boxes(s, spec.name) for s in studies]
    if spec.kind == "segmentation" or any(spec.name in s.masks for s in studies):
        empty = np.zeros((len(spec.classes), *studies[0].image.shape), bool)
        return torch.from_numpy(np.stack([s.masks.get(spec.name, empty) for s in studies])).float()
    none = np.zeros(len(spec.classes), bool)
    return torch.from_numpy(np.stack([s.values.get(spec.name, none) for s in studies])).float()


def _boxes(study: Study, head: str) -> Boxes:
    if head not in study.boxes:
        return Boxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    xyxy, classes = study.boxes[head]
    return Boxes(torch.from_numpy(xyxy), torch.from_numpy(classes))
