"""Units stay: where all sites start from one model, they are the same everywhere (docs/decisions/0030)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mtmed.aggregation.alignments import _base
from mtmed.types import Architecture, GlobalModel, SiteUpdate


@dataclass(frozen=True)
class Alignment(_base.Alignment):
    """The updates as they came."""

    aligns = False

    def aligned(
        self,
        model: GlobalModel,  # noqa: ARG002
        sites: Sequence[SiteUpdate],
        architecture: Architecture | None,  # noqa: ARG002
    ) -> list[SiteUpdate]:
        return list(sites)
