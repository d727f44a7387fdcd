"""The claims of docs/results.md about the federation. Which they are was written down before the runs."""

from benchmarks.evidence.claim import AtOnce, Claim, Protocol

PHANTOM = Protocol(runs=10)
MARGIN = -0.01  # no worse than this is as good
OURS, LOCAL, POOLED = "bayes", "alone", "pooled"
HEADS = {"lesion_segmentation": "dice", "lesion_detection": "map50", "malignancy": "auroc", "pneumonia": "auroc"}
MASKS = "lesion_segmentation"
BASELINES = (
    "alone",
    "ensemble",
    "fedavg",
    "label_aware",
    "masks_only",
    "fedprox",
    "fedavgm",
    "fedadam",
    "fedexp",
    "fedbn",
    "scaffold",
    "median",
    "trimmed_mean",
    "fisher",
    "cyclic",
)
COMPLETE = ("fedavg", "label_aware", "ensemble")  # what runs in every cell


def claims() -> list[Claim | AtOnce]:
    """All of them, families together."""
    return [*_beats(), *_gaps(), *_as_good(), *_rounds()]


def _beats() -> list[Claim]:
    return [
        Claim(
            family="Claim 2 on phantoms, some labels missing: the Bayesian federation",
            sentence=f"beats {other} in lesion segmentation",
            kind="superior",
            experiment="fed",
            protocol=PHANTOM,
            arm=OURS,
            against=(other,),
            head=MASKS,
            metric=HEADS[MASKS],
        )
        for other in BASELINES
    ]


def _gaps() -> list[Claim]:
    return [
        Claim(
            family="Of the way from sites alone to pooled data, the Bayesian federation",
            sentence="goes more than nine tenths",
            kind="share",
            experiment="fed",
            protocol=PHANTOM,
            arm=OURS,
            against=(LOCAL, POOLED),
            head=head,
            metric=metric,
            target=0.9,
        )
        for head, metric in HEADS.items()
    ]


def _as_good() -> list[Claim | AtOnce]:
    family = "All labels at all sites: the Bayesian federation"
    parts = tuple(
        Claim(
            family=family,
            sentence=f"is at least as good as {other}",
            kind="non-inferior",
            experiment="fed-labels",
            protocol=PHANTOM,
            arm=OURS,
            against=(other,),
            head=head,
            metric=metric,
            target=MARGIN,
        )
        for other in COMPLETE
        for head, metric in HEADS.items()
    )
    return [*parts, AtOnce(family, "against all of them, on every head", parts)]


def _rounds() -> list[Claim]:
    return [
        Claim(
            family="Rounds",
            sentence="the Bayesian federation has after 10 rounds what fedavg has after 20",
            kind="non-inferior",
            experiment="fed-rounds-20",
            protocol=PHANTOM,
            arm=OURS,
            against=("fedavg",),
            head=MASKS,
            metric=HEADS[MASKS],
            target=MARGIN,
            round=10,
        )
    ]
