"""One aggregation: the updates of a round in, the next global model out."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from mtmed import checkpoint
from mtmed.aggregation.incoming import Gate, nothing_left
from mtmed.config import Config
from mtmed.errors import UserError
from mtmed.types import GlobalModel, SiteUpdate
from tasks.exchange import Exchange
from tasks.initial_model import initial_key, read_mean
from tasks.jobs import model_key, refused_key, server_key


def initialise(config: Config, exchange: Exchange, run: str, lineage: dict[str, str]) -> str:
    """Put the model of round 0, which is the initial model; its key."""
    key = model_key(run, 0)
    model = GlobalModel(0, read_mean(exchange, initial_key(config)), lineage=lineage)
    exchange.put(key, checkpoint.model_bytes(model, config.architecture))
    return key


def aggregate(config: Config, exchange: Exchange, run: str, model: str, updates: Mapping[str, str]) -> dict[str, Any]:
    """Aggregate the updates at their keys; {key, bytes, span, contributions, refused}.

    Updates that are refused are kept beside the rounds, for whoever has to find out why.
    """
    start = time.time()
    torch.set_num_threads(1)  # sums are the same everywhere; and threads that wait for busy cores took minutes
    before, architecture = checkpoint.read_model(exchange.get(model), model)
    kinds = {head.name: head.kind for head in architecture.heads}
    gate = Gate(config.federation.gate.move, config.federation.gate.precision)
    remembered = _remembered(exchange, run, before.round)
    with ExitStack() as files:
        sites, unreadable = _open(exchange, updates, files)
        if not sites:
            raise nothing_left(before.round, unreadable)
        merged = config.strategy.aggregate(before, sites, kinds, remembered, gate, architecture)
    refused = unreadable | merged.refused
    for site, why in refused.items():
        print(f"round {merged.model.round}: the update of {site} is refused: {why}", flush=True)
        if config.strategy.shares and exchange.exists(updates[site]):  # else the site goes on from its own
            exchange.move(updates[site], refused_key(run, before.round, site))
    key = model_key(run, merged.model.round)
    if merged.state:
        exchange.put(server_key(run, merged.model.round), save(merged.state))
    size = exchange.put(key, checkpoint.model_bytes(config.strategy.told(merged.model), architecture))
    span = ("aggregation", start, time.time())
    return {"key": key, "bytes": size, "span": span, "contributions": merged.shares, "refused": refused}


def _open(exchange: Exchange, updates: Mapping[str, str], files: ExitStack) -> tuple[list[SiteUpdate], dict[str, str]]:
    """The updates, read as they are merged, and {site: why} of those that are none."""
    found, unreadable = [], {}
    for site, key in updates.items():
        try:
            update = checkpoint.open_update(files.enter_context(exchange.as_file(key)), "it")
            if update.site != site:
                raise UserError(f"it says that it is of site {update.site!r}")
            found.append(update)
        except UserError as error:
            unreadable[site] = str(error)
    return found, unreadable


def _remembered(exchange: Exchange, run: str, round: int) -> dict[str, Tensor]:
    """What the server's optimiser remembers of the rounds before, if it does."""
    key = server_key(run, round)
    return load(exchange.get(key)) if exchange.exists(key) else {}
