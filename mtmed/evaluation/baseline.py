"""The threshold baseline as observations, so that it is measured like any model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mtmed.evaluation.threshold import apply, tune
from mtmed.heads.segmentation import observe_mask
from mtmed.types import Array, Study


def observe_threshold(train: Sequence[Study], test: Sequence[Study], head: str) -> tuple[list[Any], list[str]] | None:
    """Observations and patients of the labelled test studies, thresholds tuned on those of training.

    None where no training study has a lesion to tune on.
    """
    train, test = ([s for s in part if s.knows(head)] for part in (train, test))
    if not any(s.masks[head].any() for s in train) or not test:
        return None
    images = np.stack([s.image for s in test])
    predicted = np.stack([_class(train, images, head, k) for k in range(test[0].masks[head].shape[0])], 1)
    pairs = zip(torch.from_numpy(predicted).float(), test, strict=True)
    observations = [
        observe_mask(p, torch.from_numpy(s.masks[head]).float(), torch.from_numpy(s.labelled[head])) for p, s in pairs
    ]
    return observations, [s.patient for s in test]


def _class(train: Sequence[Study], images: Array, head: str, index: int) -> Array:
    """Predicted masks [N,H,W] of one class; nothing where no training study shows it."""
    shown = [s for s in train if s.labelled[head][index] and s.masks[head][index].any()]
    if not shown:
        return np.zeros(images.shape, bool)
    threshold = tune(np.stack([s.image for s in shown]), np.stack([s.masks[head][index] for s in shown]))
    return apply(threshold, images)
