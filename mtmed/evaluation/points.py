"""Point metrics of one head, by the rules of its kind."""

from collections.abc import Sequence
from typing import Any

from mtmed.registry import find
from mtmed.types import Architecture, Metrics


def metrics_of(architecture: Architecture, head: str, observations: Sequence[Any]) -> Metrics:
    """The metrics of a head's observations; undefined ones are absent."""
    kind = next(h.kind for h in architecture.heads if h.name == head)
    return dict(find("mtmed.heads", kind, "head kind").metrics(observations))
