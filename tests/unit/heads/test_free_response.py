"""Recall at a tolerated number of false positives, against trying every threshold."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtmed.heads import _free_response as module
from mtmed.heads._free_response import HIT
from mtmed.types import Boxes

TRUE = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30]])


def recall_at(tolerated, images):
    lesions = sum(len(true.xyxy) for _, true in images)
    return module.recall_at(tolerated, lesions, [module.hits(p, t) for p, t in images])


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, width) * max(0, height)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def found_at(threshold, image):
    """Lesions found and false positives of one image; the surest prediction chooses its lesion first."""
    predicted, true = image
    rows = zip(predicted.scores.tolist(), predicted.xyxy.tolist(), predicted.classes.tolist(), strict=True)
    left = list(zip(true.xyxy.tolist(), true.classes.tolist(), strict=True))
    found = wrong = 0
    for score, box, cls in sorted(rows, key=lambda row: -row[0]):
        if score < threshold:
            continue
        best = max((t for t in left if t[1] == cls), key=lambda t: iou(box, t[0]), default=None)
        if best is not None and iou(box, best[0]) >= HIT:
            left.remove(best)
            found += 1
        else:
            wrong += 1
    return found, wrong


def by_every_threshold(tolerated, images):
    lesions = sum(len(true.xyxy) for _, true in images)
    best = 0
    for threshold in {float(s) for p, _ in images for s in p.scores}:
        found, wrong = (sum(x) for x in zip(*(found_at(threshold, i) for i in images), strict=True))
        if wrong <= tolerated * len(images):
            best = max(best, found)
    return best / lesions


@st.composite
def image(draw):
    true = draw(st.lists(st.integers(0, 2), max_size=3, unique=True))
    classes = draw(st.lists(st.integers(0, 1), min_size=len(true), max_size=len(true)))
    rows = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 1)), max_size=5))
    shifted = [(TRUE[i] + torch.tensor([float(d), 0, float(d), 0])).tolist() for i, d, _ in rows]
    scores = draw(st.lists(st.integers(1, 7), min_size=len(rows), max_size=len(rows)))
    predicted = Boxes(
        torch.tensor(shifted).reshape(-1, 4),
        torch.tensor([c for *_, c in rows], dtype=torch.int64),
        torch.tensor([s / 8 + i / 1000 for i, s in enumerate(scores)]),
    )
    return predicted, Boxes(TRUE[true].reshape(-1, 4), torch.tensor(classes, dtype=torch.int64))


@settings(max_examples=150)
@given(st.lists(image(), min_size=1, max_size=4), st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_recall_agrees_with_trying_every_threshold(images, tolerated):
    images.append((images[0][0], Boxes(TRUE[:1], torch.tensor([0]))))  # so that there is a lesion
    assert abs(recall_at(tolerated, images) - by_every_threshold(tolerated, images)) < 1e-6


def one(box, score):
    return Boxes(torch.tensor([box]), torch.tensor([0]), torch.tensor([score]))


def test_equal_scores_pass_together():
    """Two hits and three misses with one score: the threshold takes all five, or none."""
    true = Boxes(TRUE[:1], torch.tensor([0]))
    hit, miss = (one(TRUE[0].tolist(), 0.5), true), (one([50.0, 50, 60, 60], 0.5), true)
    for images in ([hit, hit, miss, miss, miss], [miss, miss, miss, hit, hit]):
        assert recall_at(0.4, images) == 0
        assert abs(recall_at(0.6, images) - 2 / 5) < 1e-6


def test_a_lesion_is_found_once():
    true = Boxes(TRUE[:1], torch.tensor([0]))
    twice = Boxes(TRUE[[0, 0]], torch.tensor([0, 0]), torch.tensor([0.9, 0.8]))
    assert recall_at(0.0, [(twice, true)]) == 1
    other = one(TRUE[1].tolist(), 0.7)
    both = Boxes(torch.cat([twice.xyxy, other.xyxy]), torch.zeros(3).long(), torch.tensor([0.9, 0.8, 0.7]))
    two = Boxes(TRUE[:2], torch.tensor([0, 0]))
    assert recall_at(0.0, [(both, two)]) == 0.5, "the second box on the first lesion is a false positive"
    assert recall_at(1.0, [(both, two)]) == 1
