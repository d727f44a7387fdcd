"""What holds for every image, box and patient."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mtmed.data.geometry import letterbox
from mtmed.data.split import fold_of, split_of
from mtmed.specs import SplitSpec

sides = st.integers(16, 400)
sizes = st.sampled_from([32, 64, 128])


@given(sides, sides, sizes, st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_boxes_return_from_the_letterbox(height, width, size, at):
    x1, x2 = sorted(v * width for v in at[:2])
    y1, y2 = sorted(v * height for v in at[2:])
    there = letterbox(height, width, size).boxes(np.array([[x1, y1, x2, y2]]))
    assert (there >= -1e-3).all()
    assert (there <= size + 1e-3).all()
    back = letterbox(height, width, size).boxes_back(there)
    np.testing.assert_allclose(back, [[x1, y1, x2, y2]], atol=0.01)


@settings(max_examples=40, deadline=None)
@given(sides, sides, sizes, st.integers(0, 2**31))
def test_masks_return_from_the_letterbox(height, width, size, seed):
    """A disc that is seen in the square lies where it was, and has the image's size again."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    radius = 0.3 * min(height, width)
    mask = np.hypot(y - rng.uniform(0, height), x - rng.uniform(0, width)) < radius
    box = letterbox(height, width, size)
    back = box.map_back(box.mask(mask)[None].astype(np.float32))[0] >= 0.5
    assert back.shape == mask.shape
    # the only errors are along the outline, less than half a pixel of the coarser grid wide
    pixel = max(1, height / box.inner_height, width / box.inner_width)
    assert (back != mask).sum() <= 0.5 * (2 * np.pi * radius * pixel + pixel**2) + 4


@settings(max_examples=40, deadline=None)
@given(sides, sides, sizes, st.integers(0, 2**31))
def test_a_lesion_never_vanishes(height, width, size, seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    mask[rng.integers(height), rng.integers(width)] = True
    assert letterbox(height, width, size).mask(mask).any()


@given(st.text(min_size=1), st.integers(2, 10), st.integers(0, 5))
def test_fold_depends_on_the_patient_alone(patient, folds, seed):
    assert fold_of(patient, folds, seed) == fold_of(patient, folds, seed)
    assert 0 <= fold_of(patient, folds, seed) < folds


@given(st.text(min_size=1), st.integers(2, 8), st.integers(0, 3))
def test_every_patient_is_tested_in_exactly_one_fold(patient, folds, seed):
    splits = [split_of(patient, SplitSpec(folds=folds, fold=fold, seed=seed)) for fold in range(folds)]
    assert splits.count("test") == 1
    assert len({s for s in splits if s != "test"}) == 1


def test_shares_are_as_configured():
    splits = [split_of(f"patient-{n}", SplitSpec(folds=5, validation=0.1)) for n in range(4000)]
    assert abs(splits.count("test") / 4000 - 0.2) < 0.03
    assert abs(splits.count("validation") / 4000 - 0.08) < 0.02
