"""A test image with what was predicted and what is true drawn on it. It never leaves the site by itself."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mtmed.types import Array

TRUE, PREDICTED = "#f0a202", "#2ec4b6"
RANKS = ("best", "median", "worst")


def draw(
    image: Array,
    masks: tuple[Array, Array],
    boxes: tuple[Array, Array],
) -> bytes:
    """A PNG: truth in amber, prediction in teal.

    Args:
        image: [H,W] in 0..1.
        masks: the true and the predicted mask, [H,W] bool.
        boxes: the true and the predicted boxes, [M,4] xyxy.
    """
    figure = Figure(figsize=(2.6, 2.6), dpi=150)
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axis.set_axis_off()
    axis.imshow(image, cmap="gray", vmin=0, vmax=max(1e-6, float(image.max())), interpolation="bilinear")
    for colour, mask, xyxy in zip((TRUE, PREDICTED), masks, boxes, strict=True):
        if mask.any() and not mask.all():
            axis.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=1.2)
        for x1, y1, x2, y2 in xyxy:
            axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=colour, lw=0.9, ls=(0, (3, 2))))
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def ranked(values: Sequence[float]) -> dict[str, int]:
    """{best, median, worst: index} of the values that are finite; fewer where there are fewer of them."""
    order = [int(i) for i in np.argsort(np.asarray(values), kind="stable") if np.isfinite(values[int(i)])]
    if not order:
        return {}
    picks = {"best": order[-1], "median": order[len(order) // 2], "worst": order[0]}
    return {rank: at for n, (rank, at) in enumerate(picks.items()) if at not in list(picks.values())[:n]}
