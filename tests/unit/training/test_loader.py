"""Batches depend on their generator alone, and what is not labelled is never negative."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mtmed.training.augment import augmented
from mtmed.training.loader import batches, collate
from mtmed.types import HeadSpec, Study

BOTH = ("mammography", "chest_xray")
HEADS = [
    HeadSpec("s", "segmentation", ("a", "b"), BOTH),
    HeadSpec("d", "detection", ("a",), BOTH),
    HeadSpec("m", "classification", ("m",), ("mammography",)),
    HeadSpec("p", "classification", ("p", "q"), ("chest_xray",)),
]


def study(number, size=64):
    """A bright square on grey, with its mask and its box."""
    rng = np.random.default_rng(number)
    x, y, w = (int(v) for v in rng.integers([20, 20, 8], [32, 32, 14]))
    image = np.full((size, size), 0.3, np.float32)
    image[y : y + w, x : x + w] = 0.9
    mask = np.zeros((2, size, size), bool)
    mask[0] = image > 0.5
    return Study(
        f"s{number}", f"p{number}", "mammography", "train", image,
        masks={"s": mask},
        boxes={"d": (np.array([[x, y, x + w, y + w]], np.float32), np.array([0]))},
        values={"m": np.array([number % 2 == 0])},
        labelled={"s": np.array([True, False]), "d": np.array([True]), "m": np.array([True])},
    )  # fmt: skip


STUDIES = [study(n) for n in range(7)]


NOT_MEASURED = torch.zeros(len(STUDIES), dtype=torch.bool)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(batch):
    boxes = torch.cat([b.xyxy.flatten() for b in batch.targets["d"]])
    tensors = [batch.targets[h].flatten() for h in ("s", "m", "p")]
    known = [k.flatten() for k in batch.labelled.values()]
    return torch.cat([batch.images.flatten(), boxes, *tensors, *known])


def test_shapes_and_what_is_not_labelled():
    batch = collate(STUDIES[:3], HEADS)
    assert batch.images.shape == (3, 1, 64, 64)
    assert batch.targets["s"].shape == (3, 2, 64, 64)
    assert batch.targets["m"].shape == (3, 1)
    assert len(batch.targets["d"]) == 3
    assert batch.labelled["s"].tolist() == [[True, False]] * 3
    assert batch.labelled["p"].tolist() == [[False, False]] * 3


def test_a_head_that_does_not_serve_the_modality_is_not_labelled():
    wrong = Study(
        "x", "y", "chest_xray", "train", STUDIES[0].image,
        values={"m": np.array([True])}, labelled={"m": np.array([True])},
    )  # fmt: skip
    batch = collate([wrong], HEADS)
    assert not batch.labelled["m"].any()
    assert batch.targets["d"][0].xyxy.shape == (0, 4)


def test_every_study_once():
    got = list(batches(STUDIES, HEADS, 3, generator(), augment=False))
    assert [len(b.images) for b in got] == [3, 3, 1]
    seen = sorted(float(image.sum()) for b in got for image in b.images)
    assert seen == pytest.approx(sorted(float(s.image.sum()) for s in STUDIES))


@pytest.mark.parametrize("augment", [True, False])
def test_the_generator_decides_and_nothing_else(augment):
    torch.manual_seed(1)
    first = [flat(b) for b in batches(STUDIES, HEADS, 3, generator(), augment)]
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = [flat(b) for b in batches(STUDIES, HEADS, 3, generator(), augment)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    third = [flat(b) for b in batches(STUDIES, HEADS, 3, generator(1), augment)]
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(first, third, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_masks_and_boxes_go_where_the_image_goes(seed):
    batch = augmented(collate(STUDIES, HEADS), generator(seed), NOT_MEASURED)
    masks, found = batch.targets["s"][:, 0], batch.targets["d"]
    for image, mask, boxes in zip(batch.images[:, 0], masks, found, strict=True):
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        bright = image > image[mask > 0].median() - 0.15
        assert (bright == (mask > 0)).float().mean() > 0.98
        rows, columns = torch.nonzero(mask, as_tuple=True)
        hull = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
        assert (boxes.xyxy[0] - hull).abs().max() <= 1.01


def test_a_box_that_leaves_the_image_is_dropped():
    corner = Study(
        "x", "y", "mammography", "train", STUDIES[0].image,
        boxes={"d": (np.array([[0, 0, 2, 2], [30, 30, 40, 40]], np.float32), np.array([0, 0]))},
        labelled={"d": np.array([True])},
    )  # fmt: skip
    drawn = (augmented(collate([corner], HEADS), generator(seed), NOT_MEASURED[:1]) for seed in range(30))
    counts = {len(batch.targets["d"][0].xyxy) for batch in drawn}
    assert counts == {1, 2}


def test_images_stay_in_range():
    images = augmented(collate(STUDIES, HEADS), generator(), NOT_MEASURED).images
    assert images.min() >= 0
    assert images.max() <= 1


def test_an_image_with_a_measurement_keeps_its_scale():
    """A mask as wide as before, however often it is drawn; the same image without a measurement changes."""
    length = HeadSpec("w", "regression", ("width",), BOTH)
    plain, known = STUDIES[0], replace(STUDIES[0], labelled={"w": np.array([True])}, values={"w": np.array([9.0])})
    widths = [set(), set()]
    for seed in range(20):
        (batch,) = batches([known, plain], [HEADS[0], length], 2, generator(seed), augment=True)
        for width, mask in zip(batch.labelled["w"][:, 0].int().tolist(), batch.targets["s"][:, 0], strict=True):
            widths[width].add(int(mask.any(0).sum()))
    true = int(STUDIES[0].masks["s"][0].any(0).sum())
    assert widths[1] <= {true - 1, true, true + 1}
    assert len(widths[0]) > 3
