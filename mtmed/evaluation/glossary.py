"""What the names of metrics and models mean, in words for a reader who did not write the code."""

from collections.abc import Iterable
from functools import cache

from mtmed.heads._metric import Metric
from mtmed.registry import find, names

CALIBRATION = {
    "calibration_error": Metric(
        "Calibration error",
        "Expected calibration error over ten bins: the mean distance between the predicted probability, scaled by the "
        "task's temperature, and the share of examples in which the finding was there. Lower is better.",
        higher_is_better=False,
    ),
    "calibration_error_unscaled": Metric(
        "Calibration error before scaling",
        "The same of the probabilities as training left them. Lower is better.",
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


@cache
def metrics() -> dict[str, Metric]:
    """Every metric by its name: those that the kinds of heads describe, and the calibration of their probabilities."""
    # when it is asked for: the heads' mathematics takes seconds to import
    kinds = [find("mtmed.heads", kind, "head kind") for kind in names("mtmed.heads")]
    described = {name: metric for kind in kinds for name, metric in kind.METRICS.items()}
    return {**described, **CALIBRATION}


def term(metric: str) -> Metric:
    """The entry of a metric; an unknown one keeps its own name, and more of it is taken as better."""
    return metrics().get(metric, Metric(words(metric), ""))


def directed(metric: str) -> str:
    """A metric's label, with its direction where that is not the usual one."""
    found = term(metric)
    return found.label + ("" if found.higher_is_better else ", lower is better")


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
