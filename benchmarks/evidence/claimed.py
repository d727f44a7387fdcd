"""The claims of docs/results.md, those about models and training first. They were written down before the runs.

A family has at most 25 comparisons of the kind `superior`: ten seeds give a p of .002 at best (docs/decisions/0022).
"""

from collections.abc import Mapping

from benchmarks.evidence import claimed_federation
from benchmarks.evidence.claim import AtOnce, Claim, Protocol

PHANTOM, REAL, SPEED = Protocol(runs=10), Protocol(runs=10, folds=5), Protocol(runs=5)
EQUAL_TIME = "real"  # the experiment in which every arm trains for the same time
MARGIN = -0.01  # no worse than this is as good
MASKS = {10: "phantom-masks-10", 25: "phantom-masks-25", 50: "phantom-masks-50", 100: "phantom"}  # % of masks kept

Heads = Mapping[str, str]  # each head's metric
PHANTOM_HEADS: Heads = {
    "lesion_segmentation": "dice",
    "lesion_detection": "map50",
    "malignancy": "auroc",
    "pneumonia": "auroc",
    "lesion_size": "mae",
}
REAL_HEADS: Heads = {
    "lung_segmentation": "dice",
    "opacity_segmentation": "dice",
    "opacity_detection": "map50",
    "pneumonia": "auroc",
}

ARMS = {
    "single": "single-task transformers that share its time",
    "single-whole": "single-task transformers, each with all of its time",
    "convolutional": "the convolutional multi-task model",
    "smp-unet": "Unet (segmentation_models.pytorch)",
    "smp-fpn": "FPN (segmentation_models.pytorch)",
    "monai-unet": "UNet (MONAI)",
    "monai-unetr": "UNETR (MONAI)",
}
# the metrics of the heads that an arm has: outside models draw masks, those of segmentation_models.pytorch classify too
OWN = dict.fromkeys(("single", "single-whole", "convolutional"), ("dice", "map50", "auroc", "mae"))
OUTSIDE = {
    "smp-unet": ("dice", "auroc"),
    "smp-fpn": ("dice", "auroc"),
    "monai-unet": ("dice",),
    "monai-unetr": ("dice",),
}


def claims() -> list[Claim | AtOnce]:
    """All of them, families together."""
    return [
        *_beats("Claim 1 on phantoms: the multi-task transformer", "phantom", PHANTOM, PHANTOM_HEADS),
        *_beats("Claim 1 on real films: the multi-task transformer", "real", REAL, REAL_HEADS),
        *_best_outside(),
        *_label_efficiency(),
        *_single_values(),
        *claimed_federation.claims(),
    ]


def _beats(family: str, experiment: str, protocol: Protocol, heads: Heads) -> list[Claim]:
    return [
        Claim(
            family=family,
            sentence=f"beats {ARMS[other]}",
            kind="superior",
            experiment=experiment,
            protocol=protocol,
            arm="multitask",
            against=(other,),
            head=head,
            metric=metric,
        )
        for other, has in (OWN | OUTSIDE).items()
        for head, metric in heads.items()
        if metric in has
    ]


def _best_outside() -> list[Claim | AtOnce]:
    """The best outside model is chosen by head on the runs that judge, so its mean is flattered: against the claim."""
    family = "At equal training time, one multi-task transformer"
    parts = tuple(
        Claim(
            family=family,
            sentence="is at least as good as the best outside model",
            kind="non-inferior",
            experiment=EQUAL_TIME,
            protocol=REAL,
            arm="multitask",
            against=tuple(arm for arm, has in OUTSIDE.items() if metric in has),
            head=head,
            metric=metric,
            target=MARGIN,
        )
        for head, metric in REAL_HEADS.items()
        if any(metric in has for has in OUTSIDE.values())
    )
    return [*parts, AtOnce(family, "on every head at once", parts)]


def _label_efficiency() -> list[Claim]:
    return [
        Claim(
            family="Label efficiency: the multi-task transformer",
            sentence=f"with {share} % of the masks, beats a segmentation transformer with all of its time",
            kind="superior",
            experiment=experiment,
            protocol=PHANTOM,
            arm="multitask",
            against=("single-whole",),
            head="lesion_segmentation",
            metric="dice",
        )
        for share, experiment in MASKS.items()
    ]


def _single_values() -> list[Claim]:
    lungs = Claim(
        family="Values",
        sentence="the multi-task transformer finds lungs on real films",
        kind="at least",
        experiment="real",
        protocol=REAL,
        arm="multitask",
        head="lung_segmentation",
        metric="dice",
        target=0.93,
    )
    speed = Claim(
        family="Values",
        sentence="the trainer reaches this share of a bare PyTorch loop's speed",
        kind="ratio",
        experiment="speed",
        protocol=SPEED,
        arm="trainer",
        against=("bare",),
        head="-",
        metric="images_per_s",
        target=0.97,
    )
    return [lungs, speed]
