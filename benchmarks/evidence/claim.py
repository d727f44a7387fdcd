"""What a claim says, so that a program can judge it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["superior", "non-inferior", "at least", "ratio", "share"]


@dataclass(frozen=True)
class Protocol:
    """How often an experiment is run before it counts.

    Attributes:
        runs: seeds, or folds of all cross-validations together; fewer are "not measured".
        folds: of each cross-validation; 1 where each seed draws its own patients.
    """

    runs: int
    folds: int = 1


@dataclass(frozen=True)
class Claim:
    """One comparison of arms, or of an arm with a number, on one metric of one head.

    Attributes:
        family: the claims that it is corrected with (Holm), if superior.
        sentence: the claim in plain words.
        kind: what is measured, and when it holds. `superior`: the difference to `against` is above `target`, 0, after
            Holm's correction. `non-inferior`: it is above the margin `target`, below 0. `at least`: the arm's value is
            above `target`. `ratio`: the ratio to `against` is above `target`. `share`: of the way from the first of
            `against` to the second, the arm goes more than `target`. In all, "above" is said of the lower end
            of the 95 % interval; where lower is better, differences are turned round, so that more is always better.
        experiment, arm, against, head, metric: which rows; of several in `against`, the one with the best mean.
        round: after which the arm is measured, where that is not its last; the others are measured after theirs.
    """

    family: str
    sentence: str
    kind: Kind
    experiment: str
    protocol: Protocol
    arm: str
    head: str
    metric: str
    against: tuple[str, ...] = ()
    target: float = 0.0
    round: int = 0


@dataclass(frozen=True)
class AtOnce:
    """That all of several claims hold. Needs no correction: one that fails is enough (Berger 1982)."""

    family: str
    sentence: str
    parts: tuple[Claim, ...]
