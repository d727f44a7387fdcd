"""A synthetic federation of four hospitals: made-up numbers in realistic shapes."""

import io

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtmed.evaluation.calibration import reliability
from mtmed.evaluation.report import Lineage, Overlay, Report, SiteFacts
from mtmed.evaluation.temperature import scale
from mtmed.types import HeadEvaluation, HeadSpec, SiteEvaluation

PRIMARY = {"segmentation": "dice", "detection": "map50", "classification": "auroc"}
BOTH = ("mammography", "chest_xray")
HEADS = (
    HeadSpec("lesion_segmentation", "segmentation", ("lesion",), BOTH),
    HeadSpec("lesion_detection", "detection", ("lesion",), BOTH),
    HeadSpec("malignancy", "classification", ("malignant",), ("mammography",)),
    HeadSpec("pneumonia", "classification", ("pneumonia",), ("chest_xray",)),
)
MODALITY = {"alder": BOTH[0], "birch": BOTH[0], "cedar": BOTH[1], "dogwood": BOTH[1]}
WITHOUT = {("birch", "lesion_segmentation"), ("dogwood", "lesion_detection")}
METRICS = {
    "segmentation": {"dice": 0.64, "dice_pooled": 0.68, "false_positive_images": 0.21},
    "detection": {"map50": 0.47, "map": 0.21, "recall_1fp": 0.7},
    "classification": {"auroc": 0.84, "average_precision": 0.79},
}
TEMPERATURE = {"lesion_segmentation": 1.8, "malignancy": 4.0, "pneumonia": 1.0}
SHIFT = {"local": -0.09, "global": 0.0, "pooled": 0.035, "threshold": -0.4}
SITE_SHIFT = {"alder": 0.04, "birch": -0.03, "cedar": 0.02, "dogwood": -0.06}


def owns(site: str, head: HeadSpec) -> bool:
    return MODALITY[site] in head.modalities and (site, head.name) not in WITHOUT


def head_evaluation(site: str, head: HeadSpec, model: str, rng: np.random.Generator) -> HeadEvaluation:
    """Metrics around the table above; replicates and calibration to match."""
    metrics = {}
    for name, value in METRICS[head.kind].items():
        sign = -1 if name == "false_positive_images" else 1
        moved = value + sign * (SHIFT[model] + SITE_SHIFT[site]) + 0.012 * rng.normal()
        metrics[name] = float(np.clip(moved, 0.02, 0.98))
    calibration, unscaled = {}, {}
    if head.kind != "detection" and model != "threshold":
        p = rng.beta(0.7, 1.1, 400)
        sharp = {"local": 0.55, "global": 0.85, "pooled": 0.95}[model]
        truth = rng.random(400) < 0.5 + sharp * (p - 0.5)
        calibration, unscaled = reliability(p, truth), reliability(scale(p, 1 / TEMPERATURE[head.name]), truth)
        metrics |= {"calibration_error": 0.1 * (1.6 - sharp), "calibration_error_unscaled": 0.13}
    replicates = {m: np.clip(v + 0.035 * rng.normal(size=200), 0, 1).tolist() for m, v in metrics.items()}
    return HeadEvaluation(metrics, replicates, calibration, images=36, patients=18, unscaled=unscaled)


def make_evaluations(seed: int = 0) -> list[SiteEvaluation]:
    rng = np.random.default_rng(seed)
    out = []
    for site in MODALITY:
        models = {}
        for model in ("global", "local", "pooled", "threshold"):
            heads = [h for h in HEADS if owns(site, h) and (model != "threshold" or h.kind == "segmentation")]
            models[model] = {h.name: head_evaluation(site, h, model, rng) for h in heads}
        out.append(SiteEvaluation(site, {m: heads for m, heads in models.items() if heads}))
    return out


def _rounds(count: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    curves, shares, traffic = [], [], []
    for r in range(1, count + 1):
        present = [s for s in MODALITY if not (s == "cedar" and r in (4, 5))]
        for site in present:
            traffic.append((r, site, 13_900_000 + 4000 * r, 6_950_000))
            for head in (h for h in HEADS if owns(site, h)):
                metric, noise = PRIMARY[head.kind], 0.02 * rng.normal()
                top = METRICS[head.kind][metric] + SITE_SHIFT[site]
                rise = 1 - np.exp(-r / 3)
                curves.append((r, site, f"validation/{head.name}/{metric}", top * (0.3 + 0.7 * rise) + noise))
                curves.append((r, site, f"train/{head.name}", 0.2 + 0.9 * np.exp(-r / 4) - noise))
        for head in HEADS:
            owners = [s for s in present if owns(s, head)]
            weights = rng.dirichlet(30 * np.ones(len(owners)))
            shares += [(r, s, head.name, 58, w) for s, w in zip(owners, weights, strict=True)]
    return (
        pd.DataFrame(curves, columns=["round", "site", "name", "value"]),
        pd.DataFrame(shares, columns=["round", "site", "head", "labelled", "share"]),
        pd.DataFrame(traffic, columns=["round", "site", "sent", "received"]),
    )


def _temperatures() -> pd.DataFrame:
    """One is at the limit, and one was found on nothing."""
    labelled = {"lesion_segmentation": (27, 3), "malignancy": (190, 2), "pneumonia": (0, 0)}
    rows = [(m, h, TEMPERATURE[h], *counts) for m in ("global", "pooled") for h, counts in labelled.items()]
    return pd.DataFrame(rows, columns=["model", "head", "temperature", "images", "sites"])


def _picture(shift: float) -> bytes:
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    film = np.exp(-(x**2 + y**2) / 0.5) + 0.5 * np.exp(-((x - 0.2) ** 2 + y**2) / 0.02)
    figure = Figure(figsize=(2.4, 2.4))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(film, cmap="gray")
    axis.contour((x - 0.2) ** 2 + y**2, [0.03], colors="#56b4e9")
    axis.contour((x - 0.2 - shift) ** 2 + y**2, [0.03], colors="#e69f00")
    axis.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def make_report() -> Report:
    rng = np.random.default_rng(7)
    curves, shares, traffic = _rounds(10, rng)
    labelled = {s: {h.name: 58 if owns(s, h) else 0 for h in HEADS} for s in MODALITY}
    studies = {"train": 63, "validation": 9, "test": 18}
    sites = [
        SiteFacts(s, (m,), studies, labelled[s], 2 if s == "alder" else 0, data_hash="9f2c" * 8)
        for s, m in MODALITY.items()
    ]
    overlays = [
        Overlay("alder", "lesion_segmentation", rank, f"Dice {dice:.2f}; drawn blue", _picture(d))
        for rank, dice, d in (("worst", 0.21, 0.3), ("best", 0.93, 0.01), ("median", 0.66, 0.1))
    ]
    stages = {"Prepare": 21.0, "Local training": 412.0, "Fisher": 38.0, "Aggregate": 6.1, "Evaluate": 55.0}
    return Report(
        title="Four phantom hospitals, one model",
        strategy="bayes",
        lineage=Lineage(
            "3f9c1e77ab20",
            "b1946ac92492d2347c6235b4d2611184",
            "0.1.0+g5d41402",
            0,
            10,
            3_482_117,
            {"differential_privacy": "none was applied"},
        ),
        sites=sites,
        heads=HEADS,
        primary=PRIMARY,
        evaluations=make_evaluations(),
        rounds=curves,
        contributions=shares,
        refused=pd.DataFrame(columns=["round", "site", "reason"]),
        traffic=traffic,
        seconds=pd.DataFrame(stages.items(), columns=["stage", "seconds"]),
        temperatures=_temperatures(),
        overlays=overlays,
    )
