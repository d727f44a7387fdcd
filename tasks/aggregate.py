"""One aggregation: the updates of a round in, the next global model out."""

import time
from collections.abc import Sequence
from typing import Any

from mtmed import checkpoint
from mtmed.config import Config
from mtmed.registry import find
from mtmed.types import GlobalModel
from tasks.exchange import Exchange
from tasks.initial_model import initial_key, read_mean
from tasks.jobs import model_key


def initialise(config: Config, exchange: Exchange, run: str, lineage: dict[str, str]) -> str:
    """Put the model of round 0, which is the initial model; its key."""
    key = model_key(run, 0)
    model = GlobalModel(0, read_mean(exchange, initial_key(config)), lineage=lineage)
    exchange.put(key, checkpoint.model_bytes(model, config.architecture))
    return key


def aggregate(config: Config, exchange: Exchange, run: str, model: str, updates: Sequence[str]) -> dict[str, Any]:
    """Aggregate the updates at their keys; {key, bytes, span, contributions}."""
    start = time.time()
    name = config.federation.strategy
    strategy = find("mtmed.aggregation", name, "strategy").Strategy(**config.strategies.get(name, {}))
    before, architecture = checkpoint.read_model(exchange.get(model), model)
    sites = [checkpoint.read_update(exchange.get(key), key) for key in updates]
    after, shares = strategy.merge(before, sites)
    key = model_key(run, after.round)
    size = exchange.put(key, checkpoint.model_bytes(after, architecture))
    return {"key": key, "bytes": size, "span": ("aggregation", start, time.time()), "contributions": shares}
