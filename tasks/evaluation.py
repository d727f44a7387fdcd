"""What an evaluation starts from, and what it leaves in reports/."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pandas as pd

from mtmed.aggregation.strategy import strategy
from mtmed.config import Config
from mtmed.errors import UserError
from mtmed.evaluation import exchange as text
from mtmed.evaluation.summary import summary
from mtmed.evaluation.tables import primary_metrics, site_table
from mtmed.registry import find
from mtmed.types import SiteEvaluation
from tasks import initial_model, tracking
from tasks.exchange import Exchange
from tasks.jobs import model_key, pooled_key
from tasks.site import on_this_machine


@dataclass(frozen=True)
class Published:
    """A finished federation: its key, its rounds, what its encoder started from and the folder of its outs."""

    key: str
    rounds: int
    strategy: str
    pretrained: str | None
    folder: Path


def published(folder: str) -> Published:
    """The federation in a folder.

    Raises:
        UserError: none was finished there.
    """
    path = Path(folder) / "federation.json"
    if not path.is_file():
        raise UserError(f"no federation in {folder}: run `dvc repro federate` first")
    facts = json.loads(path.read_text())
    started = facts["lineage"].get("pretrained")
    return Published(facts["run"], facts["rounds"], facts["strategy"], started, Path(folder))


def as_trained(config: Config, run: Published) -> Config:
    """The configuration that the federation ran with; its initial model again, where the exchange lost it.

    Raises:
        UserError: the initial model is lost, and params.yaml names other pretrained weights now.
    """
    spec = config.federation.model_copy(update={"strategy": run.strategy})  # it says what a site keeps of its own
    trained = initial_model.started_from(config.model_copy(update={"federation": spec}), run.pretrained)
    if not Exchange(config.federation.exchange).exists(initial_model.initial_key(trained)):
        now = initial_model.settled(config).model.pretrained
        if now != run.pretrained:
            raise UserError(
                f"model.pretrained: the federation in {run.folder} started from {run.pretrained}, and here is {now}: "
                "bring the weights back, or run `dvc repro federate`"
            )
    return trained


def models(config: Config, run: Published) -> dict[str, str]:
    """Keys of the models that all sites evaluate; a federation that shares nothing has no global one."""
    exchange = Exchange(config.federation.exchange)
    out = {}
    if strategy(run.strategy, config.strategies.get(run.strategy, {})).shares:
        out["global"] = model_key(run.key, run.rounds)
        if not exchange.exists(out["global"]):  # the outs came from `dvc pull`, the state did not
            exchange.put(out["global"], (run.folder / "global.safetensors").read_bytes())
    if "pooled" in config.evaluation.references:
        out["pooled"] = pooled_key(run.key)
    return out


def publish(config: Config, run: Published, answers: Sequence[dict[str, Any]], calibrated: str, out: str) -> Path:
    """Write the sites' evaluations and the tables that DVC and the report read; the folder.

    The tracking gets the figures, and the model in `calibrated`, if there is one.
    """
    exchange = Exchange(config.federation.exchange)
    found = [text.from_json(exchange.get(a["key"]).decode(), a["key"]) for a in answers]
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    figures = [folder / f"{evaluation.site}.json" for evaluation in found]
    for path, evaluation in zip(figures, found, strict=True):
        path.write_text(text.to_json(evaluation))
    _overlays(config, folder / "overlays")
    primary = primary_metrics(config.heads.values(), by_kind(config))
    numbers = summary(found, primary)
    (folder.parent / "metrics.json").write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n")
    site_table(found).to_csv(folder.parent / "sites.csv", index=False)
    _curves(config, run).to_csv(folder.parent / "rounds.csv", index=False)
    figures += [folder.parent / name for name in ("metrics.json", "sites.csv", "rounds.csv")]
    tracking.log_evaluation(config, run.key, _flat(numbers), figures)
    model = Path(calibrated) / "global.safetensors"
    if model.is_file():
        tracking.log_calibrated(config, run.key, run.rounds, model)
    return folder


def by_kind(config: Config) -> dict[str, str]:
    """The metric that each kind of head is judged by."""
    kinds = {h.kind for h in config.heads.values()}
    return {kind: find("mtmed.heads", kind, "head kind").PRIMARY for kind in kinds}


def read(folder: Path) -> list[SiteEvaluation]:
    """The evaluations that `publish` wrote, by site."""
    return [text.from_json(path.read_text(), str(path)) for path in sorted(folder.glob("*.json"))]


def _overlays(config: Config, folder: Path) -> None:
    """Bring the sites' pictures together: only where the sites are folders of one machine."""
    rmtree(folder, ignore_errors=True)
    if config.federation.dispatch != "local" or not config.evaluation.overlays:
        return
    for site in config.sites:
        pictures = on_this_machine(config, site).state / "overlays"
        if pictures.is_dir():
            copytree(pictures, folder / site)


def _curves(config: Config, run: Published) -> pd.DataFrame:
    """For `dvc plots`: the mean over sites of each head's validation metric, by round."""
    rounds = pd.read_csv(run.folder / "rounds.csv")
    metrics = by_kind(config)
    names = {f"validation/{h.name}/{metrics[h.kind]}": h.name for h in config.heads.values()}
    rows = rounds[rounds["name"].isin(list(names))].assign(name=lambda t: t["name"].map(names))
    return rows.pivot_table(index="round", columns="name", values="value").reset_index()


def _flat(numbers: dict[str, Any], prefix: str = "") -> dict[str, float]:
    out: dict[str, float] = {}
    for name, value in numbers.items():
        out |= _flat(value, f"{prefix}{name}/") if isinstance(value, dict) else {prefix + name: float(value)}
    return out
