"""Predictions on labelled studies, as the observations that metrics are computed from."""

from collections.abc import Sequence
from typing import Any

import torch

from mtmed.models.multitask import MultiTask
from mtmed.training.loader import collate
from mtmed.types import Boxes, Study


def observe(model: MultiTask, studies: Sequence[Study], batch_size: int = 32) -> dict[str, tuple[list[Any], list[str]]]:
    """Observations and patients of every head's labelled studies: {head: (observations, patients)}."""
    out: dict[str, tuple[list[Any], list[str]]] = {}
    for spec in model.architecture.heads:
        labelled = [s for s in studies if spec.name in s.labelled and s.labelled[spec.name].any()]
        observations: list[Any] = []
        for start in range(0, len(labelled), batch_size):
            batch = collate(labelled[start : start + batch_size], [spec])
            prediction = predict(model, batch.images, [spec.name])[spec.name]
            observations += model.decoder(spec.name).observe(
                prediction, batch.targets[spec.name], batch.labelled[spec.name]
            )
        if labelled:
            out[spec.name] = (observations, [s.patient for s in labelled])
    return out


@torch.no_grad()
def predict(model: MultiTask, images: torch.Tensor, heads: Sequence[str]) -> dict[str, Any]:
    """Predictions of the named heads for images [B,1,H,W], on the processor, in float32."""
    model.eval()
    place = next(model.parameters()).device
    outputs = model(images.to(place), heads)
    return {head: _to_cpu(model.decoder(head).predict(outputs[head])) for head in heads}


def _to_cpu(prediction: Any) -> Any:
    if isinstance(prediction, torch.Tensor):
        return prediction.cpu()
    return [Boxes(b.xyxy.cpu(), b.classes.cpu(), b.scores.cpu()) for b in prediction]
