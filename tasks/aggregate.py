"""One aggregation: the updates of a round in, the next global model out."""

import time
from collections.abc import Sequence
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from mtmed import checkpoint
from mtmed.config import Config
from mtmed.types import GlobalModel
from tasks.exchange import Exchange
from tasks.initial_model import initial_key, read_mean
from tasks.jobs import model_key, server_key


def initialise(config: Config, exchange: Exchange, run: str, lineage: dict[str, str]) -> str:
    """Put the model of round 0, which is the initial model; its key."""
    key = model_key(run, 0)
    model = GlobalModel(0, read_mean(exchange, initial_key(config)), lineage=lineage)
    exchange.put(key, checkpoint.model_bytes(model, config.architecture))
    return key


def aggregate(config: Config, exchange: Exchange, run: str, model: str, updates: Sequence[str]) -> dict[str, Any]:
    """Aggregate the updates at their keys; {key, bytes, span, contributions}."""
    start = time.time()
    before, architecture = checkpoint.read_model(exchange.get(model), model)
    sites = [checkpoint.read_update(exchange.get(key), key) for key in updates]
    kinds = {head.name: head.kind for head in architecture.heads}
    merged = config.strategy.aggregate(before, sites, kinds, _remembered(exchange, run, before.round))
    key = model_key(run, merged.model.round)
    if merged.state:
        exchange.put(server_key(run, merged.model.round), save(merged.state))
    size = exchange.put(key, checkpoint.model_bytes(merged.model, architecture))
    return {"key": key, "bytes": size, "span": ("aggregation", start, time.time()), "contributions": merged.shares}


def _remembered(exchange: Exchange, run: str, round: int) -> dict[str, Tensor]:
    """What the server's optimiser remembers of the rounds before, if it does."""
    key = server_key(run, round)
    return load(exchange.get(key)) if exchange.exists(key) else {}
