"""Copies are near, other pictures are far, and every near pair is told once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mtmed.data import pixels
from mtmed.data.likeness import NEAR, distance, near_pairs, perceptual_hash


@pytest.fixture(scope="module")
def films(hospital):
    raw = hospital(modality="chest_xray", patients=20, size=128)
    return [pixels.read(path).image for path in sorted((raw / "images").iterdir())]


def changed(film, name):
    picture = Image.fromarray((film * 255).astype(np.uint8))
    if name == "smaller":
        picture = picture.resize((64, 64))
    if name == "darker":
        picture = picture.point(lambda v: 0.8 * v)
    return np.asarray(picture, np.float32) / 255


@pytest.mark.parametrize("name", ["8 bits", "smaller", "darker"])
def test_a_copy_is_near(films, name):
    for film in films:
        assert distance(perceptual_hash(film), perceptual_hash(changed(film, name))) <= NEAR


def test_other_films_are_far(films):
    hashes = np.stack([perceptual_hash(film) for film in films])
    assert list(near_pairs(hashes)) == []


@given(st.integers(0, 2**32 - 1), st.integers(0, 7))
def test_near_pairs_are_told_once_and_far_ones_never(seed, bits):
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**16, (40, 16)).astype(np.uint16)
    copy = hashes[3].copy()
    for bit in rng.choice(256, bits, replace=False):
        copy[bit // 16] ^= np.uint16(1 << (bit % 16))
    pairs = list(near_pairs(np.concatenate([hashes, copy[None]])))
    assert pairs.count((3, 40)) == 1
    assert len(pairs) == len(set(pairs))
    assert all(distance(*(np.vstack([hashes, copy])[[i, j]])) <= NEAR for i, j in pairs)


def test_a_crowd_that_shares_a_word_is_not_compared():
    """A thousand blank-bordered pictures must not cost a million comparisons, nor a flag each."""
    assert list(near_pairs(np.zeros((1000, 16), np.uint16))) == []


def test_no_picture_and_one(films):
    assert list(near_pairs(np.zeros((0, 16), np.uint16))) == []
    assert list(near_pairs(perceptual_hash(films[0])[None])) == []
