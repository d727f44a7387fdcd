"""The tables of docs/results.md from the rows of benchmarks/confidence.py: means over seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

MASKS = "lesion_segmentation"
GROUPS = ["0", "3", "6"]  # the seeds that every arm has
ARMS = {"plain": "plain", "dropout": "dropout, 10 samples", "dropout-trained": "dropout, also in training"}
ARMS |= {"ensemble": "ensemble of 3"}
CONFIDENCES = {
    "soft_dice": "soft Dice",
    "entropy_inside": "entropy in the mask",
    "entropy_image": "entropy in the image",
}


def tables(path: Path) -> str:
    """Markdown."""
    rows = pd.read_csv(path, dtype={"seed": str})
    return "\n\n".join(_markdown(t) for t in (_scaling(rows), _patients(rows), _ranking(rows), _arms(rows)))


def _scaling(rows: pd.DataFrame) -> pd.DataFrame:
    """Before and after the temperature; `better`: in how many of the seeds."""
    lines = []
    for arm in ("plain", "federated"):
        for head in sorted(set(rows["head"]) - {"-"}):
            before, after = (_by_seed(rows, a, head) for a in (arm, f"{arm}-temperature"))
            if len(after):
                t = after["temperature"]
                line = {"model": arm, "head": head, "temperature": f"{t.mean():.2f} ({t.min():.2f} to {t.max():.2f})"}
                lines.append(line | _change("nll", before, after) | _change("calibration_error", before, after))
    return pd.DataFrame(lines)


def _change(metric: str, before: pd.DataFrame, after: pd.DataFrame) -> dict[str, str]:
    a, b = before[metric], after[metric]
    return {metric: f"{a.mean():.4f} -> {b.mean():.4f}", f"{metric} better": f"{int((b < a).sum())} of {len(a)}"}


def _patients(rows: pd.DataFrame) -> pd.DataFrame:
    """The log-likelihood of test patients by how many patients the temperature was found on."""
    lines = []
    for head in sorted(set(rows["head"]) - {"-"}):
        plain = _mean(rows, "plain", head, ("nll",))
        for size in (1, 2, 4, 8, 16):
            found = {n: _mean(rows, f"patients-{size}{n}", head, ("nll", "nll_worst")) for n in ("", "-prior")}
            line = {"head": head, "patients of each site": size, "T = 1": plain["nll"]}
            line |= {f"{w}, {m}": found[n].get(m) for n, w in (("", "ML"), ("-prior", "prior")) for m in found[n]}
            lines.append(line)
    return pd.DataFrame(lines)


def _ranking(rows: pd.DataFrame) -> pd.DataFrame:
    """1 - Dice of the most confident share of images, by what the confidence is."""
    lines = []
    for images, end in (("with a lesion", ""), ("with a predicted mask", "_drawn")):
        for name, label in CONFIDENCES.items():
            wanted = {f"risk_{name}{end}_at_{share}": f"{share} %" for share in (20, 50, 80)}
            wanted |= {f"aurc_{name}{end}": "area", f"excess_{name}{end}": "excess"}
            found = _mean(rows, "plain-temperature", MASKS, tuple(wanted))
            lines.append({"images": images, "confidence": label} | {wanted[m]: v for m, v in found.items()})
    return pd.DataFrame(lines)


def _arms(rows: pd.DataFrame) -> pd.DataFrame:
    """What each way of predicting masks gives, scaled or not, and its time beside the plain one's."""
    shown = ("dice", "nll", "calibration_error", "aurc_soft_dice", "excess_soft_dice", "excess_soft_dice_drawn")
    cost = _mean(rows, "cost", "-", ("ms_plain", "ms_dropout", "ms_ensemble"))
    lines = []
    for arm, label in ARMS.items():
        time = cost.get(f"ms_{arm.removesuffix('-trained')}", float("nan")) / cost.get("ms_plain", float("nan"))
        for end, scaled in (("", ""), ("-temperature", ", scaled")):
            found = _mean(rows, arm + end, MASKS, (*shown, "aurc_pixels"), GROUPS)
            lines.append({"prediction": label + scaled, "time": time, **found})
    return pd.DataFrame(lines)


def _by_seed(rows: pd.DataFrame, arm: str, head: str) -> pd.DataFrame:
    part = rows[(rows["arm"] == arm) & (rows["head"] == head)]
    return part.pivot(index="seed", columns="metric", values="value")


def _mean(
    rows: pd.DataFrame, arm: str, head: str, metrics: Sequence[str], seeds: Sequence[str] | None = None
) -> Mapping[str, float]:
    found = _by_seed(rows, arm, head)
    found = found if seeds is None else found[found.index.isin(seeds)]
    return {m: float(found[m].mean()) for m in metrics if m in found}


def _markdown(table: pd.DataFrame) -> str:
    return str(table.to_markdown(index=False, floatfmt=".4f"))
