"""Whether claims hold, by the rows of their experiments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmarks.evidence.claim import AtOnce, Claim
from benchmarks.evidence.figures import number
from benchmarks.evidence.paired import Estimate, estimate, holm, ratio_of_means
from mtmed.evaluation.glossary import term
from mtmed.types import Array

HOLDS, FAILS, MISSING = "holds", "does not hold", "not measured"
ALPHA = 0.05
SMALLEST = 0.03  # of a gap, as in mtmed/evaluation/gap.py

Rows = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Verdict:
    """A claim, what was measured, and whether it holds.

    Attributes:
        estimate: of the difference, value or ratio; None if not measured.
        adjusted: p after Holm's correction in the family; None if the kind needs none.
        against: the arm that it was measured against.
        missing: what is missing for a measurement.
    """

    claim: Claim | AtOnce
    word: str = MISSING
    estimate: Estimate | None = None
    adjusted: float | None = None
    against: str = ""
    missing: str = ""


class NotMeasured(Exception):
    """Says which rows are missing."""


def judge(claims: Sequence[Claim | AtOnce], rows: Rows) -> list[Verdict]:
    """The verdicts, in the order of the claims."""
    measured = {claim: _measured(claim, rows) for claim in claims if isinstance(claim, Claim)}
    for family in {claim.family for claim in measured}:
        _correct([claim for claim in measured if claim.family == family and claim.kind == "superior"], measured)
    judged = {claim: replace(verdict, word=_word(claim, verdict)) for claim, verdict in measured.items()}
    return [judged[c] if isinstance(c, Claim) else Verdict(c, _all([judged[p].word for p in c.parts])) for c in claims]


def _measured(claim: Claim, rows: Rows) -> Verdict:
    try:
        values = _values(claim, rows.get(claim.experiment))
    except NotMeasured as missing:
        return Verdict(claim, missing=str(missing))
    own, folds = values[claim.arm].to_numpy(), claim.protocol.folds
    if claim.kind == "at least":
        return Verdict(claim, estimate=estimate(own, claim.target, folds))
    sign = 1 if term(claim.metric).higher_is_better else -1
    if claim.kind == "share":
        return _share(values, claim, sign)
    against = max(claim.against, key=lambda arm: sign * values[arm].mean())
    other = values[against].to_numpy()
    if claim.kind == "ratio":
        return Verdict(claim, estimate=_ratio(own / other, claim), against=against)
    return Verdict(claim, estimate=estimate(sign * (own - other), claim.target, folds), against=against)


def _values(claim: Claim, rows: pd.DataFrame | None) -> pd.DataFrame:
    """The metric by seed and arm, of seeds that all arms ran.

    Raises:
        NotMeasured: fewer runs than the protocol asks for, or a metric that some arms of a seed have and others lack.
            What is undefined for all (no positive among the test patients) is only left out.
    """
    arms = [claim.arm, *claim.against]
    seeds = _seeds(rows, arms)
    if rows is None or len(seeds) < claim.protocol.runs:
        raise NotMeasured(f"{len(seeds)} of {claim.protocol.runs} runs")
    at = dict.fromkeys(claim.against, claim.metric)
    at[claim.arm] = f"{claim.metric}.round-{claim.round}" if claim.round else claim.metric
    wanted = rows[(rows["head"] == claim.head) & (rows["metric"] == rows["arm"].map(at))]
    table = wanted.pivot(index="seed", columns="arm", values="value").reindex(index=seeds, columns=arms)
    absent = table.isna()
    for arm in arms:
        lacking = table.index[absent[arm] & ~absent.all(axis=1)]
        if len(lacking):
            raise NotMeasured(f"{arm} lacks it at seed {', '.join(lacking)}")
    table = table.dropna()
    if len(table) < 2:
        raise NotMeasured("undefined in all runs")
    return table


def _seeds(rows: pd.DataFrame | None, arms: list[str]) -> list[str]:
    if rows is None:
        return []
    ran = [set(rows.loc[rows["arm"] == arm, "seed"]) for arm in arms]
    return sorted(set.intersection(*ran))


def _share(values: pd.DataFrame, claim: Claim, sign: int) -> Verdict:
    """A ratio of means; where the way itself is short or uncertain there is none."""
    local, pooled = claim.against
    whole = sign * (values[pooled] - values[local]).to_numpy()
    found = ratio_of_means(sign * (values[claim.arm] - values[local]).to_numpy(), whole)
    if whole.mean() < SMALLEST or found is None:
        return Verdict(claim, missing=f"{pooled} is {number(float(whole.mean()), True)} from {local}: no gap to close")
    return Verdict(claim, estimate=found)


def _ratio(ratios: Array, claim: Claim) -> Estimate:
    """Geometric mean of ratios [n], by their logarithms."""
    found = estimate(np.log(ratios), float(np.log(claim.target)), claim.protocol.folds)
    mean, low, high = np.exp([found.mean, found.low, found.high]).tolist()
    return replace(found, mean=mean, low=low, high=high)


def _correct(family: list[Claim], verdicts: dict[Claim, Verdict]) -> None:
    """What is not measured stays in the family, with a p of 1: leaving it out would flatter the others."""
    found = [verdicts[claim].estimate for claim in family]
    for claim, p in zip(family, holm([e.p if e else 1.0 for e in found]), strict=True):
        verdicts[claim] = replace(verdicts[claim], adjusted=p)


def _word(claim: Claim, verdict: Verdict) -> str:
    found = verdict.estimate
    if found is None:
        return MISSING
    sure = verdict.adjusted is None or verdict.adjusted < ALPHA
    return HOLDS if sure and found.low > claim.target else FAILS


def _all(words: list[str]) -> str:
    return next((word for word in (FAILS, MISSING) if word in words), HOLDS)
