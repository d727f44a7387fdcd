"""The numbers that `dvc metrics show` reads and compares between runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtmed.evaluation.gap import gap_closed
from mtmed.evaluation.tables import over_sites
from mtmed.types import SiteEvaluation


def summary(evaluations: Sequence[SiteEvaluation], primary: Mapping[str, str]) -> dict[str, Any]:
    """For reports/metrics.json: `{model: {head: {metric: {macro, worst}}}, gap_closed: {head: share}}`.

    Args:
        primary: the metric that each head is judged by, `{head: metric}`.

    What is undefined is absent: DVC shows numbers only.
    """
    out: dict[str, Any] = {}
    for row in over_sites(evaluations).to_dict("records"):
        metrics = out.setdefault(row["model"], {}).setdefault(row["head"], {})
        metrics[row["metric"]] = {"macro": float(row["macro"]), "worst": float(row["worst"])}
    closed = {gap.head: gap.share for gap in gap_closed(evaluations, primary) if gap.share is not None}
    return {**out, "gap_closed": closed} if closed else out
