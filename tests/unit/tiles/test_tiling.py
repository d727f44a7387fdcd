"""Where tiles lie and how much each says: every pixel is told once in all, and never by a tile's rim."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtmed.errors import UserError
from mtmed.tiles.cut import cut_up
from mtmed.tiles.tiling import GRID, Tiling, covered, starts, tiling, windows

SIZES = st.integers(2, 16).map(lambda n: n * GRID)
OVERLAPS = st.floats(0.125, 0.5)


@given(st.integers(16, 2000), SIZES, OVERLAPS)
def test_tiles_lie_on_the_grid_and_overlap_enough(side, size, overlap):
    whole = covered(side, size)
    assert side <= whole < side + max(size, GRID)
    first = starts(whole, size, overlap)
    assert first[0] == 0
    assert first[-1] + size == whole
    assert all(s % GRID == 0 for s in first)
    assert all(0 < b - a <= size * (1 - overlap) for a, b in pairwise(first))


@given(st.integers(16, 2000), SIZES, OVERLAPS)
def test_every_pixel_is_told_once_and_not_by_the_rim_of_a_tile(side, size, overlap):
    first = starts(covered(side, size), size, overlap)
    told = np.zeros(first[-1] + size)
    weights = windows(first, size)
    for start, weight in zip(first, weights, strict=True):
        told[start : start + size] += weight
    np.testing.assert_allclose(told, 1, atol=1e-6)
    assert weights.min() >= 0
    rim = int(size * overlap / 4)
    assert not weights[1:, :rim].any()
    assert not weights[:-1, size - rim :].any()
    assert (weights[0, :rim] > 0).all(), "nothing else shows the image's own border"


@given(SIZES, OVERLAPS)
def test_one_tile_fades_into_the_next(size, overlap):
    first = starts(covered(size * 3, size), size, overlap)
    steps = np.abs(np.diff(windows(first, size), axis=1))
    assert steps.max() <= np.pi / (size * overlap)  # the steepest slope of the ramp; 1 would be a seam


def test_an_image_of_a_tile_is_one_tile():
    assert starts(covered(96, 96), 96, 0.25) == [0]
    assert windows([0], 96).tolist() == [[1.0] * 96]


@pytest.mark.parametrize(("height", "width"), [(16, 300), (95, 64), (200, 131)])
def test_an_image_lies_in_the_middle_of_black(height, width):
    image = np.random.default_rng(0).uniform(0.1, 1, (height, width)).astype(np.float32)
    cut = cut_up(image, Tiling(64))
    assert all(side % GRID == 0 and side >= 64 for side in cut.plane.shape)
    np.testing.assert_array_equal(cut.image(cut.plane), image)
    assert (cut.plane > 0).sum() == image.size
    for side, own, margin in zip(cut.plane.shape, image.shape, (cut.top, cut.left), strict=True):
        assert abs(side - own - 2 * margin) <= 1


def test_tiles_are_of_the_scale_that_is_asked_for():
    image = np.full((200, 100), 0.5, np.float32)
    half = cut_up(image, Tiling(64, scale=0.5))
    assert half.image(half.plane).shape == (100, 50)
    cut = cut_up(image, Tiling(64, spacing_mm=0.2), (0.1, 0.3))
    assert (cut.height, cut.width) == (100, 150)
    with pytest.raises(UserError, match="states no mm per pixel"):
        cut_up(image, Tiling(64, spacing_mm=0.2))
    with pytest.raises(UserError, match="scale of tiles 10: expected 0"):
        cut_up(image, Tiling(64, spacing_mm=0.01), (0.1, 0.1))
    with pytest.raises(UserError, match="image too small"):
        cut_up(image, Tiling(64, scale=0.1))


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"size": 100}, "tiles of 100 pixels: expected a multiple of 32, 64 to 2048"),
        ({"size": 32}, "tiles of 32 pixels: expected a multiple of 32, 64 to 2048"),
        ({"size": 4096}, "tiles of 4096 pixels"),
        ({"size": 64, "overlap": 0.6}, "overlap of tiles 0.6: expected 0.125 to 0.5"),
        ({"size": 64, "overlap": float("nan")}, "overlap of tiles nan"),
        ({"size": 64, "scale": 0}, "scale of tiles 0: expected 0.01 to 4"),
        ({"size": 64, "spacing_mm": 0}, "spacing of tiles 0 mm: expected more than 0"),
    ],
)
def test_numbers_that_are_wrong(numbers, reason):
    with pytest.raises(UserError, match=reason):
        Tiling(**numbers)


def test_what_a_user_left_out():
    assert tiling(None, None, None, None) is None
    assert tiling(64, None, None, None) == Tiling(64, 0.25, 1.0)
    assert tiling(64, 0.5, None, 0.1) == Tiling(64, 0.5, 1.0, 0.1)
    for left_out in [(None, 0.3, None, None), (None, None, 0.5, None), (None, None, None, 0.1)]:
        with pytest.raises(UserError, match="need --tiles"):
            tiling(*left_out)
    with pytest.raises(UserError, match="either --tile-scale or --tile-spacing"):
        tiling(64, None, 0.5, 0.1)
