"""The verdicts as the docs print them: a table for each family of claims."""

from collections.abc import Sequence
from itertools import groupby

from benchmarks.evidence.claim import AtOnce, Claim, Kind
from benchmarks.evidence.figures import chance, number, table
from benchmarks.evidence.verdict import FAILS, HOLDS, MISSING, Verdict

LEGEND = (
    "Figure: the mean difference of paired runs, turned round where lower is better, so that above 0 is better; of "
    "“at least” the value, of a ratio the geometric mean, of a share the ratio of means over runs, with Fieller's "
    "interval. p: that the figure is the target's, two-sided, by exact sign flips; for cross-validation by the "
    "t-test that is corrected for shared patients, with intervals to match. n: runs."
)
NUMBERS = ("figure", "95 % interval", "p", "p, Holm", "p, Wilcoxon", "n")
SIGNED: tuple[Kind, ...] = ("superior", "non-inferior")


def verdict_tables(verdicts: Sequence[Verdict]) -> str:
    """Markdown."""
    families = groupby(verdicts, key=lambda verdict: verdict.claim.family)
    return "\n\n".join([*(_family(name, list(found)) for name, found in families), LEGEND])


def _family(name: str, verdicts: list[Verdict]) -> str:
    holds, fails, missing = (sum(verdict.word == word for verdict in verdicts) for word in (HOLDS, FAILS, MISSING))
    counts = f"{holds} hold, {fails} do not, {missing} not measured"
    return f"**{name}** ({counts})\n\n{table([_row(verdict) for verdict in verdicts])}"


def _row(verdict: Verdict) -> dict[str, str]:
    claim = verdict.claim
    if isinstance(claim, AtOnce):
        what, target = {"claim": claim.sentence, "head": "-", "metric": "-"}, "all"
    else:
        what, target = {"claim": claim.sentence, "head": claim.head, "metric": claim.metric}, f"> {_target(claim)}"
    numbers = dict.fromkeys(NUMBERS, "-") | _numbers(verdict)
    why = f" ({verdict.missing})" if verdict.missing else ""
    word = f"**{HOLDS}**" if verdict.word == HOLDS else verdict.word + why
    return what | numbers | {"target": target, "verdict": word}


def _numbers(verdict: Verdict) -> dict[str, str]:
    claim, found = verdict.claim, verdict.estimate
    if found is None or isinstance(claim, AtOnce):
        return {}
    signed = claim.kind in SIGNED
    chosen = f" ({verdict.against})" if len(claim.against) > 1 and verdict.against else ""
    return {
        "figure": number(found.mean, signed) + chosen,
        "95 % interval": f"{number(found.low, signed)} to {number(found.high, signed)}",
        "p": chance(found.p),
        "p, Holm": chance(verdict.adjusted),
        "p, Wilcoxon": chance(found.wilcoxon),
        "n": str(found.n),
    }


def _target(claim: Claim) -> str:
    return number(claim.target) if claim.target else "0"
