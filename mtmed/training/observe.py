"""Predictions on labelled studies, as the observations that metrics are computed from."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mtmed.models.engine import Engine, Model, Standard
from mtmed.registry import find
from mtmed.training.loader import collate
from mtmed.types import Study


def observe(model: Model, studies: Sequence[Study], batch_size: int = 32) -> dict[str, tuple[list[Any], list[str]]]:
    """Observations and patients of every head's labelled studies: {head: (observations, patients)}."""
    out: dict[str, tuple[list[Any], list[str]]] = {}
    for spec in model.architecture.heads:
        labelled = [s for s in studies if s.knows(spec.name)]
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


def predict(engine: Engine, images: Tensor, heads: Sequence[str], standard: Standard | None = None) -> dict[str, Any]:
    """Predictions of the named heads for images [B,1,H,W], on the processor, in float32.

    Whatever ran the network, boxes are chosen here. `standard`: see `mtmed.models.multitask.standardise`.
    """
    tensors = engine.tensors(images, heads, standard)
    kinds = {h.name: find("mtmed.heads", h.kind, "head kind") for h in engine.architecture.heads}
    return {head: kinds[head].Decoder.finish(tensors[head]) for head in heads}
