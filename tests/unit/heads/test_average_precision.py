"""Average precision from images matched once, against torchmetrics on the same images."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import box_iou

from mtmed.heads._average_precision import average_precision, match
from mtmed.types import Boxes


@st.composite
def boxes(draw, scored):
    rows = draw(
        st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(5, 60)] * 2, st.integers(0, 2)), max_size=4)
    )
    xyxy = torch.tensor([[x, y, x + w, y + h] for x, y, w, h, _ in rows]).float().reshape(-1, 4)
    classes = torch.tensor([row[4] for row in rows], dtype=torch.int64)
    if not scored:
        return Boxes(xyxy, classes)
    scores = draw(st.lists(st.integers(1, 99), min_size=len(rows), max_size=len(rows)))
    return Boxes(xyxy, classes, torch.tensor([s / 100 for s in scores]))


images = st.lists(st.tuples(boxes(scored=True), boxes(scored=False)), min_size=1, max_size=5)


def by_torchmetrics(pairs):
    metric = MeanAveragePrecision()
    metric.update(
        [{"boxes": p.xyxy, "labels": p.classes, "scores": p.scores} for p, _ in pairs],
        [{"boxes": t.xyxy, "labels": t.classes} for _, t in pairs],
    )
    values = metric.compute()
    return float(values["map"]), float(values["map_50"])


@settings(max_examples=40)
@given(images)
def test_agrees_with_torchmetrics(pairs):
    pairs.append((Boxes(*[torch.empty(0, 4), torch.empty(0).long(), torch.empty(0)]), pairs[0][1]))
    pairs.append((pairs[0][0], Boxes(torch.tensor([[0.0, 0, 20, 20]]), torch.tensor([0]))))
    # where an overlap is a threshold to the last bit, rounding decides, there and here
    overlaps = torch.cat([box_iou(p.xyxy, t.xyxy).flatten() for p, t in pairs])
    assume(((overlaps * 20 - (overlaps * 20).round()).abs() > 1e-4).logical_or(overlaps < 0.4).all())
    found = average_precision([match(p, t) for p, t in pairs])
    assert found == pytest.approx(by_torchmetrics(pairs), abs=1e-6)


@settings(max_examples=20)
@given(images, st.randoms(use_true_random=False))
def test_a_resample_needs_no_matching_of_its_own(pairs, random):
    pairs.append((pairs[0][0], Boxes(torch.tensor([[0.0, 0, 20, 20]]), torch.tensor([0]))))
    drawn = [random.randrange(len(pairs)) for _ in pairs] + [len(pairs) - 1]
    once = [match(p, t) for p, t in pairs]
    again = average_precision([match(*pairs[i]) for i in drawn])
    assert average_precision([once[i] for i in drawn]) == again
