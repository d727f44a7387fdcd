"""The claims of docs/results.md about the federation. Which they are was written down before the runs.

But for those of few bits and of the merge side by side: other seeds had been seen by then. Those of `EXTRAPOLATED`, and
the tuned baselines, were added after the rows of `BASELINES`, and before any of their own. Then labels of precisions
came to be drawn, which tuning seeds chose, and what has a precision was measured again on the same seeds.
"""

from functools import partial

from benchmarks.evidence.claim import AtOnce, Claim, Protocol

PHANTOM, FILMS = Protocol(runs=10), Protocol(runs=10, folds=5)
MARGIN = -0.01  # no worse than this is as good
OURS, LOCAL, POOLED = "bayes", "alone", "pooled"
FEW, FEW_MARGIN = 4, -0.005
TOGETHER, AVERAGES = f"{OURS}@order=together", ("fedavg", "label_aware", "masks_only")
EXTRAPOLATED = f"{TOGETHER},server=extrapolated"
STEPPED = "label_aware@server=extrapolated"
RIVALS = ("fedexp", "scaffold", STEPPED)
GIVEN = "training.fisher_labels=given"
IN_FEW = f"{OURS}@federation.coding.bits={FEW}"
HEADS = {"lesion_segmentation": "dice", "lesion_detection": "map50", "malignancy": "auroc", "pneumonia": "auroc"}
MASKS = "lesion_segmentation"
FILM_HEADS = {
    "lung_segmentation": "dice",
    "opacity_segmentation": "dice",
    "opacity_detection": "map50",
    "pneumonia": "auroc",
}
FILM_MASKS = ("lung_segmentation", "opacity_segmentation")
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
TUNED = {"fedavgm": "fedavgm@momentum=0.3,server_rate=1", "fedadam": "fedadam@momentum=0.5,server_rate=0.01"}
VARIANTS = {**TUNED, "fisher": f"fisher@{GIVEN}"}  # a baseline is the better of the two
FILM_BASELINES = ("alone", "ensemble", "fedavg", "label_aware", "masks_only", "cyclic")
COMPLETE = ("fedavg", "label_aware", "ensemble")  # what runs in every cell


def claims() -> list[Claim | AtOnce]:
    """All of them, families together."""
    return [
        *_beats(),
        *_side_by_side(),
        *_extrapolated(),
        *_beats_on_films(),
        *_gaps(),
        *_as_good(),
        _rounds(),
        *_few_bits(),
    ]


_ours = partial(Claim, protocol=PHANTOM, arm=OURS)


def _beats() -> list[Claim]:
    return [
        _ours(
            "Claim 2 on phantoms, some labels missing: the Bayesian federation",
            f"beats {other} in lesion segmentation",
            "superior",
            "fed",
            against=(other, VARIANTS[other]) if other in VARIANTS else (other,),
            head=MASKS,
            metric=HEADS[MASKS],
        )
        for other in BASELINES
    ]


def _side_by_side() -> list[Claim]:
    """The merge alone: with sites in turn there may be nothing to merge."""
    return [
        Claim(
            "All sites side by side: the Bayesian merge",
            f"beats that of {other} in lesion segmentation",
            "superior",
            "fed",
            PHANTOM,
            TOGETHER,
            MASKS,
            HEADS[MASKS],
            against=(other,),
        )
        for other in AVERAGES
    ]


def _extrapolated() -> list[Claim]:
    """The merge alone, with the longer step of FedExP: what its server gives the others, given to it."""
    family = "All sites side by side, with FedExP's step: the Bayesian merge"
    where = partial(Claim, family, experiment="fed", protocol=PHANTOM, arm=EXTRAPOLATED)
    beats = [
        where(f"beats {other}", kind="superior", head=MASKS, metric=HEADS[MASKS], against=(other,)) for other in RIVALS
    ]
    as_good = [
        where("is at least as good as fedexp", "non-inferior", head=h, metric=m, against=("fedexp",), target=MARGIN)
        for h, m in HEADS.items()
        if h != MASKS
    ]
    return [*beats, *as_good]


def _beats_on_films() -> list[Claim]:
    return [
        Claim(
            "Claim 2 on real films, a site by source: the Bayesian federation",
            f"beats {other}",
            "superior",
            "fed-films",
            FILMS,
            OURS,
            head,
            FILM_HEADS[head],
            against=(other,),
        )
        for other in FILM_BASELINES
        for head in FILM_MASKS
    ]


def _gaps() -> list[Claim]:
    family, sentence = (
        "Of the way from sites alone to pooled data, the Bayesian federation",
        "goes more than nine tenths",
    )
    return [
        _ours(family, sentence, "share", "fed", against=(LOCAL, POOLED), head=head, metric=metric, target=0.9)
        for head, metric in HEADS.items()
    ]


def _as_good() -> list[Claim | AtOnce]:
    family, as_good = "All labels at all sites: the Bayesian federation", "is at least as good as"
    where = partial(_ours, kind="non-inferior", experiment="fed-labels", target=MARGIN)
    parts = tuple(
        where(family, f"{as_good} {other}", against=(other,), head=head, metric=metric)
        for other in COMPLETE
        for head, metric in HEADS.items()
    )
    return [*parts, AtOnce(family, "against all of them, on every head", parts)]


def _rounds() -> Claim:
    return _ours(
        "Rounds",
        "the Bayesian federation has after 10 rounds what fedavg has after 20",
        "non-inferior",
        "fed-rounds-20",
        against=("fedavg",),
        head=MASKS,
        metric=HEADS[MASKS],
        target=MARGIN,
        round=10,
    )


def _few_bits() -> list[Claim]:
    """Of an update in four bits an element: it is what takes a quarter of fedavg's bytes."""
    family, sentence = "A quarter of the bytes", f"the Bayesian federation is as good in {FEW} bits an element as in 32"
    return [
        Claim(family, sentence, "non-inferior", "fed", PHANTOM, IN_FEW, head, metric, (OURS,), FEW_MARGIN)
        for head, metric in HEADS.items()
    ]
