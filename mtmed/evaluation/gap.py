"""The headline of a federation: which share of the way from local to pooled training does it go?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtmed.evaluation import tables
from mtmed.evaluation.bootstrap import interval
from mtmed.evaluation.glossary import term
from mtmed.types import Array, SiteEvaluation

SMALLEST = 0.03  # under this gap the ratio divides by noise; of an error in mm, under this share of it
MODELS = ("local", "global", "pooled")


@dataclass(frozen=True)
class Gap:
    """One head: means over the same `sites` of the three models, and the share of the gap that is closed.

    `share` is None where undefined, `low` and `high` where there is no honest interval; `reason` says why.
    """

    head: str
    metric: str
    sites: tuple[str, ...]
    local: float | None = None
    federated: float | None = None
    pooled: float | None = None
    share: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def gap_closed(evaluations: Sequence[SiteEvaluation], primary: Mapping[str, str]) -> list[Gap]:
    """(global - local) / (pooled - local) of each head in its metric of `primary`, as ratios of means.

    Means run over the sites that own the label: those where all three models have the metric. A site that
    lacks one of the models would compare different hospitals.
    """
    return [_gap(evaluations, head, metric) for head, metric in primary.items()]


def _gap(evaluations: Sequence[SiteEvaluation], head: str, metric: str) -> Gap:
    found = {m: tables.values(evaluations, m, head, metric) for m in MODELS}
    sites = tuple(sorted(set.intersection(*(set(v) for v in found.values()))))
    if not sites:
        missing = [m for m in MODELS if not found[m]]
        reason = f"no {' and no '.join(missing)} model was evaluated" if missing else "no site has all models"
        return Gap(head, metric, sites, reason=reason)
    local, federated, pooled = (float(np.mean([found[m][s] for s in sites])) for m in MODELS)
    sign = 1 if term(metric).higher_is_better else -1
    gap = sign * (pooled - local)
    smallest = SMALLEST * (local if term(metric).in_units else 1)
    if gap < smallest or gap == 0:
        reason = f"pooling gains {gap:+.3f} over the site alone; under {smallest:.2g} there is no gap to close"
        return Gap(head, metric, sites, local, federated, pooled, reason=reason)
    drawn = {m: np.array(tables.macro_replicates(evaluations, m, head, metric, sites)) for m in MODELS}
    bounds, reason = _bounds(drawn["local"], drawn["global"], drawn["pooled"], sign)
    share = (federated - local) / (pooled - local)
    return Gap(head, metric, sites, local, federated, pooled, share, *bounds, reason)


def _bounds(local: Array, federated: Array, pooled: Array, sign: int) -> tuple[tuple[float | None, float | None], str]:
    """The percentile interval of the replicates' ratios, unless the gap itself may be zero.

    A ratio whose denominator changes sign has no percentile interval (Fieller 1954: the set is not bounded).
    """
    count = min(len(local), len(federated), len(pooled))
    local, federated, pooled = local[:count], federated[:count], pooled[:count]
    gap = interval((sign * (pooled - local)).tolist())
    if gap is None:
        return (None, None), "too few bootstrap replicates for an interval"
    if gap[0] <= 0:
        return (None, None), f"no interval: the gap itself is uncertain ({gap[0]:+.2f} to {gap[1]:+.2f})"
    denominator = pooled - local
    kept = np.abs(denominator) > 0
    ratios = (federated - local)[kept] / denominator[kept]
    return interval(ratios.tolist()) or (None, None), ""
