"""What the names of metrics and models mean, in words for a reader who did not write the code."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A metric's short label, its definition, and whether more of it is better."""

    label: str
    definition: str
    higher_is_better: bool = True


_DICE = Term(
    "Dice, lesion images",
    "Overlap of predicted and drawn mask, 2|A∩B| / (|A|+|B|), averaged over the images that have a lesion. "
    "An image without a lesion has no Dice; it counts in “false-positive images” instead.",
)

METRICS = {
    "dice": _DICE,
    "dice_lesion": _DICE,
    "dice_pooled": Term(
        "Dice, all pixels",
        "The same overlap, counted once over the pixels of all images together: large lesions weigh more, "
        "and false alarms on images without a lesion lower it.",
    ),
    "false_positive_images": Term(
        "False-positive images",
        "Share of the images without a lesion on which any pixel was marked. Lower is better.",
        higher_is_better=False,
    ),
    "map": Term("mAP .50–.95", "Mean average precision over box overlaps (IoU) of .50 to .95 (COCO)."),
    "map50": Term(
        "mAP at IoU .50",
        "Mean average precision: the area under precision against recall, where a box is a hit if it "
        "overlaps a drawn box by at least half of their union.",
    ),
    "recall_1fp": Term(
        "Recall at 1 FP/image",
        "Share of the lesions that are pointed at when one false mark per image, on average, is tolerated.",
    ),
    "auroc": Term(
        "AUROC",
        "The probability that a study with the finding scores above a study without it; .5 is chance. "
        "Undefined where the test studies are all positive or all negative.",
    ),
    "average_precision": Term(
        "Average precision", "Area under precision against recall; chance is the prevalence, not .5."
    ),
    "calibration_error": Term(
        "Calibration error",
        "Expected calibration error over ten bins: the mean distance between the predicted probability and "
        "the share of examples in which the finding was there. Lower is better.",
        higher_is_better=False,
    ),
}

MODELS = {
    "global": "Federated",
    "local": "Site alone",
    "pooled": "Pooled data",
    "ensemble": "Ensemble of sites",
    "threshold": "Threshold",
}

MODEL_NOTES = {
    "global": "one model, trained by all sites without sharing images",
    "local": "the site's own model, from its own studies only",
    "pooled": "a reference trained on all studies in one place, which separate sites cannot have",
    "ensemble": "the mean prediction of the sites' own models",
    "threshold": "a baseline for segmentation: the best single intensity threshold",
}


MODALITIES = {"chest_xray": "chest X-ray"}


def term(metric: str) -> Term:
    """The entry of a metric; an unknown one keeps its own name, and more of it is taken as better."""
    return METRICS.get(metric, Term(words(metric), ""))


def model(name: str) -> str:
    """A model's name for readers."""
    return MODELS.get(name, words(name))


def words(name: str) -> str:
    """`lesion_segmentation` -> `Lesion segmentation`."""
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def modalities(names: Iterable[str]) -> str:
    """`("chest_xray",)` -> `chest X-ray`."""
    return ", ".join(MODALITIES.get(name, name.replace("_", " ")) for name in names)


def model_order(names: set[str]) -> list[str]:
    """Known models in the order above, others after them by name."""
    return [m for m in MODELS if m in names] + sorted(names - MODELS.keys())
