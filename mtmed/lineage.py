"""Where a model comes from: hashes of the configuration, the code and the data behind it."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from mtmed.config import Config

# what the weights depend on; a change of the report's layout must not start a federation again
_CODE = ("data", "models", "heads", "training", "aggregation", "matching")


def digest(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@cache
def code() -> str:
    """A hash of the sources that the weights depend on."""
    return _sources(_CODE)


@cache
def preparation() -> str:
    """A hash of the sources that prepared samples depend on."""
    return _sources(("data", "datasets", "modalities"))


def _sources(parts: tuple[str, ...]) -> str:
    root = Path(__file__).parent
    files = sorted(f for part in parts for f in (root / part).rglob("*.py"))
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    return whole.hexdigest()[:16]


def training(config: Config, strategy: str) -> dict[str, Any]:
    """What of the configuration the weights depend on: not where or how many at a time the sites run."""
    raw = config.model_dump(mode="json", include={"heads", "image", "model", "training"})
    options = config.strategies.get(strategy, {})
    federation = {"seed": config.federation.seed, "rounds": config.federation.rounds}
    spec = config.federation
    limits = {"gate": spec.gate.model_dump(), "coding": spec.coding.model_dump()}
    return {**raw, **federation, **limits, "strategy": strategy, "options": options, "sites": sorted(config.sites)}


def run_key(config: Config, strategy: str, data: dict[str, str]) -> str:
    """The name of a federation's state: another configuration, code or data is another state."""
    return digest({"training": training(config, strategy), "code": code(), "data": data})
