"""A federation's state in the exchange: what is done, what comes next, what is published."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtmed import checkpoint, lineage
from mtmed.config import Config
from mtmed.errors import UserError
from tasks import history, initial_model
from tasks.aggregate import aggregate, initialise
from tasks.exchange import Exchange
from tasks.jobs import Job, model_key, round_key, server_key, update_key
from tasks.stopwatch import Span
from tasks.turns import Turns


@dataclass
class Run:
    """One federation: its key, and the rounds that are done."""

    key: str
    exchange: Exchange
    sites: list[dict[str, Any]]
    lineage: dict[str, str]
    records: list[dict[str, Any]] = field(default_factory=list)
    mark: float = field(default_factory=time.perf_counter)

    @property
    def rounds_done(self) -> int:
        """The number of finished rounds."""
        return len(self.records)


def jobs(config: Config, run: str, round: int = 0, models: dict[str, str] | None = None) -> list[Job]:
    """The same job for every site."""
    raw = _public(config)
    return [Job(site, run, round, models or {}, raw) for site in sorted(config.sites)]


def reference_jobs(config: Config, run: str) -> list[Job]:
    """The jobs of the sites that train alone, from the model that the federation started from."""
    return jobs(config, run, 0, {"start": initial_model.initial_key(config)})


def _public(config: Config) -> dict[str, Any]:
    """The configuration without what is a site's own affair: where its data lie and how they are read.

    What a site brings is named where it works on this machine, which has no other file that says so.
    """
    raw = config.model_dump(mode="json", exclude={"phantom"})
    local = config.federation.dispatch == "local"
    sites = {name: {"start": site.start if local else None} for name, site in config.sites.items()}
    return raw | {"sites": {name: {"dataset": "manifest", "raw": "at the site", **own} for name, own in sites.items()}}


def open_run(config: Config, sites: Sequence[dict[str, Any]]) -> Run:
    """The state of this configuration, settled, with its code and data: fresh, or where a killed run stopped.

    Raises:
        UserError: a head that no site labels, or a site without training images.
    """
    _expect_labels(config, sites)
    data = {s["site"]: "/".join(s[key] for key in ("digest", "start") if key in s) for s in sites}
    strategy = config.federation.strategy
    key = lineage.run_key(config, strategy, data)
    origin = {
        "run": key,
        "code": lineage.code(),
        "config": lineage.digest(lineage.training(config, strategy)),
        **initial_model.origin(config),
    }
    run = Run(key, Exchange(config.federation.exchange), list(sites), origin)
    while run.exchange.exists(round_key(key, run.rounds_done)):
        run.records.append(json.loads(run.exchange.get(round_key(key, run.rounds_done))))
    if run.rounds_done:
        print(f"resuming {key}: {run.rounds_done} of {config.federation.rounds} rounds are done", flush=True)
    else:
        initialise(config, run.exchange, key, origin)
    return run


def _expect_labels(config: Config, sites: Sequence[dict[str, Any]]) -> None:
    for site in sites:
        if not site["studies"]["train"]:
            raise UserError(f"site {site['site']!r} has no training images: give it data or leave it out of sites")
    for head in config.heads:
        if not any(site["labelled"].get(head) for site in sites):
            raise UserError(f"head {head!r} is labelled at no site: add its labels, or leave it out of heads")


def round_jobs(run: Run, config: Config, round: int) -> list[Job]:
    """The training jobs of a round: from the global model, or from each site's own if the strategy shares none."""
    out = jobs(config, run.key, round, {"start": model_key(run.key, round)})
    if config.strategy.shares or round == 0:
        return out
    own = {s: {"start": update_key(run.key, round - 1, s)} for s in config.sites}
    return [Job(j.site, j.run, j.round, own[j.site], j.config) for j in out]


def turns(run: Run, config: Config, round: int) -> Turns:
    """Who trains when in a round."""
    before = run.records[-1].get("measured") if run.records else None
    return Turns(config, run.exchange, run.key, round_jobs(run, config, round), before)


def aggregate_round(run: Run, config: Config, round: int, turns: Turns) -> dict[str, Any]:
    """Aggregate the updates of a round; its record so far."""
    updates = sorted(turns.answers, key=lambda u: str(u["site"]))
    result = aggregate(config, run.exchange, run.key, model_key(run.key, round), turns.updates())
    result["contributions"] = turns.shares(result["contributions"])
    result["refused"] = turns.refuse(result["refused"])
    turns.forget()
    losses = [v for u in updates for k, v in u["metrics"].items() if k.startswith("train/")]
    said = f"mean loss {sum(losses) / len(losses):.3f}" if losses else "no batch had a label"
    print(f"round {round + 1} of {config.federation.rounds}: {said}", flush=True)
    return {"round": round, "sites": updates, "aggregate": result, "measured": turns.hops.now}


def close_round(run: Run, config: Config, record: dict[str, Any]) -> None:
    """Write the record, which makes the round done, and forget the updates of the round before."""
    now = time.perf_counter()
    record["wall"] = now - run.mark
    run.mark = now
    run.exchange.put(round_key(run.key, record["round"]), json.dumps(record).encode())
    run.records.append(record)
    if record["round"] >= 1:
        run.exchange.remove(server_key(run.key, record["round"] - 1))
        for site in config.sites:
            run.exchange.remove(update_key(run.key, record["round"] - 1, site))


def publish(run: Run, config: Config, out: str, tracking: Sequence[Span] = ()) -> Path:
    """Write the last global model and the history of the rounds to the stage's outs; the model's path.

    Args:
        tracking: when the tracking of the rounds was at work.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "global.safetensors"
    path.write_bytes(run.exchange.get(model_key(run.key, run.rounds_done)))
    history.write(folder, run.records, tracking, time.perf_counter() - run.mark)
    facts = {"run": run.key, "lineage": run.lineage, "sites": run.sites, "rounds": run.rounds_done}
    facts |= {"strategy": config.federation.strategy, "seed": config.federation.seed}
    facts["parameters"] = sum(v.numel() for v in checkpoint.read_model(path.read_bytes())[0].mean.values())
    (folder / "federation.json").write_text(json.dumps(facts, indent=1))
    return path
