"""Pictures of the global model's work on the site's test images, kept in the site's own folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import torch

from mtmed.evaluation import overlay
from mtmed.evaluation.points import metrics_of
from mtmed.models.engine import Model
from mtmed.training.observe import observe, predict
from mtmed.types import Array, HeadSpec, Study

SCORE = 0.3  # boxes that are drawn


def draw_site(net: Model, studies: Sequence[Study], folder: Path) -> None:
    """Write the best, the median and the worst test image of each segmentation head, and captions.json."""
    rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    captions = []
    for spec in net.architecture.heads:
        if spec.kind == "segmentation":
            captions += _draw_head(net, studies, spec, folder)
    (folder / "captions.json").write_text(json.dumps(captions, indent=1))


def _draw_head(net: Model, studies: Sequence[Study], spec: HeadSpec, folder: Path) -> list[dict[str, Any]]:
    labelled = [s for s in studies if s.knows(spec.name)]
    observations, _ = observe(net, labelled).get(spec.name, ([], []))
    dice = [metrics_of(net.architecture, spec.name, [o]).get("dice", np.nan) for o in observations]
    captions = []
    for rank, at in overlay.ranked(dice).items():
        name = f"{spec.name}-{rank}.png"
        (folder / name).write_bytes(_picture(net, labelled[at], spec))
        caption = f"Dice {dice[at]:.2f}, {labelled[at].modality.replace('_', ' ')}"
        captions.append({"head": spec.name, "rank": rank, "caption": caption, "file": name})
    return captions


def _picture(net: Model, study: Study, spec: HeadSpec) -> bytes:
    boxed = [h for h in net.architecture.heads if h.kind == "detection" and study.modality in h.modalities]
    image = torch.from_numpy(study.image)[None, None]
    found = predict(net, image, [spec.name, *(h.name for h in boxed)])
    masks = (np.any(study.masks[spec.name], axis=0), (found[spec.name][0] > 0.5).any(0).numpy())
    true: list[Array] = [study.boxes[h.name][0] for h in boxed if h.name in study.boxes]
    predicted = [found[h.name][0] for h in boxed]
    shown = [b.xyxy[b.scores > SCORE].numpy() for b in predicted]
    return overlay.draw(study.image, masks, (_stack(true), _stack(shown)))


def _stack(boxes: Sequence[Array]) -> Array:
    return np.concatenate([np.zeros((0, 4)), *boxes])
