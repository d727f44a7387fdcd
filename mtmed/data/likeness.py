"""Pictures that are nearly the same, by the distance of perceptual hashes; memory grows with the hashes alone."""

from collections.abc import Iterator

import imagehash
import numpy as np
from PIL import Image

from mtmed.types import Array

SIDE = 16  # 256 bits: at the usual 64, chest films of different people collide
NEAR = 32  # bits: between copies (up to 30) and the likest different films (44): python -m benchmarks.likeness
CROWD = 64  # pictures that share a word of their hash: more are alike for a reason that tells nothing
# neighbouring frequencies are alike over all films: mixed, every word of the hash tells films apart
MIXED = np.random.default_rng(0).permutation(SIDE * SIDE)


def perceptual_hash(image: Array) -> Array:
    """pHash of an image [H,W] in 0..1 as [16] uint16: signs of its 16 x 16 lowest frequencies, in mixed order."""
    picture = Image.fromarray((image * 255).astype(np.uint8))
    picture = picture.reduce(max(1, min(picture.size) // 256))
    bits = imagehash.phash(picture, hash_size=SIDE).hash.ravel()
    return np.packbits(bits[MIXED]).view(np.uint16)


def distance(a: Array, b: Array) -> Array:
    """Bits that differ between hashes [..., 16]."""
    return np.bitwise_count(a ^ b).sum(-1, dtype=np.int64)


def near_pairs(hashes: Array) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, of `hashes` [N,16] that differ in at most NEAR bits, each once.

    Only pictures with at least one equal word are compared, so that the cost stays near N log N: what is farther apart
    is missed now and then (benchmarks/likeness.py measures how often).
    """
    found: set[tuple[int, int]] = set()
    for word in range(hashes.shape[1]):
        order = np.argsort(hashes[:, word], kind="stable")
        edges = np.flatnonzero(np.diff(hashes[order, word])) + 1
        for group in np.split(order, edges):
            if 1 < len(group) <= CROWD:
                fresh = [pair for pair in _close(hashes, np.sort(group)) if pair not in found]
                found.update(fresh)
                yield from fresh


def _close(hashes: Array, group: Array) -> list[tuple[int, int]]:
    near = np.triu(distance(hashes[group][:, None], hashes[group][None]) <= NEAR, 1)
    return [(int(group[a]), int(group[b])) for a, b in zip(*np.nonzero(near), strict=True)]
