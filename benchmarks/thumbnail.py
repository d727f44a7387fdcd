"""The floor of a head of classes: logistic regression on 8 x 8 thumbnails of the images.

    python -m benchmarks.thumbnail real --data <folder of manifests>
    python -m benchmarks.thumbnail phantom

It sees how a body lies in the picture and nothing small. What a network has above it, it has from looking closely.
The patients are those of `benchmarks.compare`; the penalty is chosen among the training patients.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated

import numpy as np
import typer
from skimage.transform import resize
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.compare import cells
from mtmed.types import Array, Study

SIDE, PENALTIES, FOLDS = 8, np.logspace(-4, 1, 11), 5


def main(
    cell: str, data: Annotated[Path | None, typer.Option(help="the folder of manifests of real films")] = None
) -> None:
    """Print AUROC of the first class of every head of classes: mean and deviation, and by seed or fold."""
    found = cells.find(cell)
    heads = [h.name for h in found.config({}).heads.values() if h.kind == "classification"]
    scores: dict[str, list[float]] = {head: [] for head in heads}
    for seed in found.seeds:
        fold = found.fold(seed, data)
        for head in heads:
            scores[head].append(auroc(head, fold.train, fold.test))
    for head, values in scores.items():
        print(f"{head}: {mean(values):.3f} ± {stdev(values):.3f}  ({', '.join(f'{v:.2f}' for v in values)})")


def auroc(head: str, train: Sequence[Study], test: Sequence[Study]) -> float:
    """Fitted on the labelled training studies, tested on the labelled test studies."""
    train, test = ([s for s in studies if s.knows(head)] for studies in (train, test))
    inner = list(GroupKFold(FOLDS).split(train, groups=[s.patient for s in train]))
    regression = LogisticRegressionCV(
        Cs=PENALTIES, l1_ratios=(0,), cv=inner, scoring="roc_auc", max_iter=1000, use_legacy_attributes=False
    )
    model = make_pipeline(StandardScaler(), regression).fit(_thumbnails(train), _truths(train, head))
    return float(roc_auc_score(_truths(test, head), model.decision_function(_thumbnails(test))))


def _thumbnails(studies: Sequence[Study]) -> Array:
    """[N,64], of the image as networks see it: mean 0, deviation 1."""
    small = (resize((s.image - s.image.mean()) / s.image.std(), (SIDE, SIDE), anti_aliasing=True) for s in studies)
    return np.stack([image.ravel() for image in small])


def _truths(studies: Sequence[Study], head: str) -> Array:
    return np.array([s.values[head][0] for s in studies]).astype(int)


if __name__ == "__main__":
    typer.run(main)
