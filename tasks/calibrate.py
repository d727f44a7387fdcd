"""The sites' curves -> one temperature per head, and the model that carries them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from mtmed import checkpoint
from mtmed.config import Config
from mtmed.evaluation import exchange as text
from mtmed.evaluation.temperature import SCALED, add, best
from mtmed.registry import find
from mtmed.types import SiteCalibration
from tasks.exchange import Exchange
from tasks.jobs import calibrated_key

COLUMNS = ["model", "head", "temperature", "images", "sites"]


def calibrate(
    config: Config, run: str, models: dict[str, str], answers: Sequence[dict[str, Any]], out: str
) -> dict[str, str]:
    """Put each model with its temperatures into the exchange; their keys by name.

    `out` gets global.safetensors, which is what predicts from now on, and temperatures.csv; a federation that shares
    no model has the table only. A head without a validation label anywhere has no temperature, which is 1.
    """
    exchange, folder = Exchange(config.federation.exchange), Path(out)
    found = [text.calibration_from_json(exchange.get(a["key"]).decode(), a["key"]) for a in answers]
    table = _temperatures(config, found, list(models))
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "temperatures.csv", index=False)
    keys = {}
    for name, key in models.items():
        mine = table[(table["model"] == name) & (table["images"] > 0)]
        model, architecture = checkpoint.read_model(exchange.get(key), key)
        model = replace(model, temperatures=dict(zip(mine["head"], mine["temperature"], strict=True)))
        keys[name] = calibrated_key(run, name)
        exchange.put(keys[name], checkpoint.model_bytes(model, architecture))
    (folder / "global.safetensors").unlink(missing_ok=True)  # of an earlier strategy
    if "global" in keys:
        (folder / "global.safetensors").write_bytes(exchange.get(keys["global"]))
    return keys


def _temperatures(config: Config, found: Sequence[SiteCalibration], models: Sequence[str]) -> pd.DataFrame:
    """A row per model and head that gives probabilities; `images` and `sites` are those that were labelled for it."""
    kinds = {name: find("mtmed.heads", head.kind, "head kind") for name, head in config.heads.items()}
    rows = []
    for model in models:
        for head in (name for name, kind in kinds.items() if kind.FORM in SCALED):
            curves = [f.curves[model][head] for f in found if head in f.curves.get(model, {})]
            total = add(curves)
            rows.append([model, head, best(total), total.images, len(curves)])
    return pd.DataFrame(rows, columns=COLUMNS)
