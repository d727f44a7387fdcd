"""Large images by tiles: the answer of the whole where tiles see enough, one box per lesion, and no seams."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import find_objects, gaussian_filter, label

from mtmed.data.geometry import letterbox
from mtmed.errors import UserError
from mtmed.inference import own_size, placed
from mtmed.tiles.cut import cut_up
from mtmed.tiles.predict import PIXELS, predict_tiles
from mtmed.tiles.tiling import Tiling
from mtmed.training.observe import predict
from mtmed.types import Architecture, HeadSpec
from tests import tiny

MASKS = HeadSpec("masks", "segmentation", ("a", "b"), tiny.MODALITIES)
BOXES = HeadSpec("boxes", "detection", ("a",), tiny.MODALITIES)

TOY = Architecture("none", 8, 64, (MASKS, BOXES))


@dataclass
class Toy:
    """An engine that sees little around a pixel: a filter of 17 pixels, and what is bright, in boxes.

    `seen` are the shapes of the batches that it was given.
    """

    architecture: Architecture = TOY
    seen: list[torch.Size] = field(default_factory=list)

    def tensors(self, images, heads, standard=None):
        self.seen.append(images.shape)
        mean, deviation = standard
        found = {
            "masks": {"": self.filtered((images - mean) / deviation)},
            "boxes": self.bright(images[:, 0].numpy()),
        }
        return {head: found[head] for head in heads}

    def accepts(self, size):
        return size <= 512

    @staticmethod
    def filtered(images):
        kernel = torch.randn(2, 1, 17, 17, generator=torch.Generator().manual_seed(0))
        return F.conv2d(images, kernel, padding=8).sigmoid()

    @staticmethod
    def bright(images):
        """The bounding boxes of what tiles show of bright things, among 20 places, and their scores."""
        boxes, scores = torch.zeros(len(images), 20, 4), torch.zeros(len(images), 20, 1)
        for image, corners, certain in zip(images, boxes, scores, strict=True):
            for row, (y, x) in enumerate(find_objects(label(image > 0.9)[0])):
                corners[row] = torch.tensor([x.start, y.start, x.stop, y.stop])
                certain[row] = 0.9 - row / 100
        return {"boxes": boxes, "scores": scores}


def noise(height, width, seed=0):
    return np.random.default_rng(seed).uniform(0, 0.8, (height, width)).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(st.integers(16, 300), st.integers(16, 300), st.sampled_from([(64, 0.5), (96, 0.4), (128, 0.25)]))
def test_tiles_say_what_the_whole_image_says(height, width, numbers):
    """A tile's rim, a quarter of its overlap, is at least the 8 pixels that the filter reaches: nothing is missed."""
    image, tiling = noise(height, width), Tiling(*numbers)
    found = predict_tiles(Toy(), image, [MASKS], tiling)["masks"]
    square = torch.from_numpy(letterbox(height, width, 64).image(image))
    cut = cut_up(image, tiling)
    whole = Toy.filtered((torch.from_numpy(cut.plane)[None, None] - square.mean()) / square.std())[0]
    assert found.shape == (2, height, width)
    torch.testing.assert_close(found, torch.from_numpy(cut.image(whole.numpy()).copy()), atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(64, 0.5), (128, 0.25), (96, 0.4)]))
def test_every_lesion_has_one_box_wherever_the_cuts_are(seed, tiling):
    """Lesions up to the overlap less both edges, 24 pixels, are shown whole by some tile."""
    rng = np.random.default_rng(seed)
    image = np.zeros((int(rng.integers(64, 320)), int(rng.integers(64, 320))), np.float32)
    true = set()
    for y in range(0, image.shape[0] - 30, 32):
        for x in range(0, image.shape[1] - 30, 32):
            height, width = rng.integers(6, 25, 2)
            top, left = y + int(rng.integers(0, 31 - height)), x + int(rng.integers(0, 31 - width))
            if rng.random() < 0.2:
                image[top : top + height, left : left + width] = 1
                true.add((left, top, left + int(width), top + int(height)))
    boxes = predict_tiles(Toy(), image, [BOXES], Tiling(*tiling))["boxes"]
    assert {tuple(map(round, row)) for row in boxes.xyxy.tolist()} == true
    assert len(boxes.xyxy) == len(boxes.scores) == len(boxes.classes) == len(true)


def test_boxes_come_back_to_the_image_from_another_scale():
    image = np.zeros((100, 300), np.float32)
    image[40:52, 200:225] = 1
    (box,) = predict_tiles(Toy(), image, [BOXES], Tiling(128, 0.5, scale=2.0))["boxes"].xyxy.tolist()
    assert box == pytest.approx([200, 40, 225, 52], abs=1)


def test_memory_is_that_of_the_tiles_and_plain_ones_are_seen_once():
    image = np.zeros((600, 700), np.float32)
    image[300:400, :200] = noise(100, 200)
    toy = Toy()
    predict_tiles(toy, image, [MASKS, BOXES], Tiling(128))
    assert all(shape[2:] == (128, 128) and shape[0] * 128**2 <= PIXELS for shape in toy.seen)
    shown = [cut_up(image, Tiling(128)).tile((r, c)).max() > 0 for r in range(6) for c in range(7)]
    assert sum(shape[0] for shape in toy.seen) == 1 + sum(shown) < len(shown)


@pytest.fixture(scope="module")
def net():
    return tiny.opinionated(tiny.network("mtmedformer_tiny"))


def test_one_tile_is_the_whole_image(net):
    image = noise(tiny.SIZE, tiny.SIZE)
    heads = [tiny.SEGMENTATION, tiny.DETECTION]
    found = predict_tiles(net, image, heads, Tiling(tiny.SIZE))
    box = letterbox(tiny.SIZE, tiny.SIZE, tiny.SIZE)
    whole = {h: own_size(p[0], box) for h, p in predict(net, placed([image], [box]), list(found)).items()}
    torch.testing.assert_close(found["lesion_segmentation"], whole["lesion_segmentation"])
    a, b = found["lesion_detection"], whole["lesion_detection"]
    assert len(a.xyxy) == len(b.xyxy) > 0
    torch.testing.assert_close(a.xyxy, b.xyxy)
    torch.testing.assert_close(a.scores, b.scores)


def test_the_real_network_leaves_no_seams(net):
    """Its features see a whole tile, so neighbours disagree; no step at a tile's end is larger than steps elsewhere."""
    image = gaussian_filter(noise(320, 256), 3)
    image = (image - image.min()) / np.ptp(image)
    tiling = Tiling(tiny.SIZE)
    blended = predict_tiles(net, image, [tiny.SEGMENTATION], tiling)[tiny.SEGMENTATION.name].numpy()
    assert np.ptp(blended) > 0.2
    assert seam(blended, tiling.size // 2) < 1.2
    side = tiny.SIZE
    rows = [image[y : y + side, x : x + side] for y in range(0, 320, side) for x in range(0, 256, side)]
    each = predict(net, torch.from_numpy(np.stack(rows)[:, None]), ["lesion_segmentation"])["lesion_segmentation"]
    abutting = each.reshape(5, 4, 2, side, side).permute(2, 0, 3, 1, 4).reshape(2, 320, 256).numpy()
    assert seam(abutting, side) > 2, "the measure sees seams where there are some"


def seam(values, period):
    """The mean step over the lines at multiples of `period`, over the mean step elsewhere."""
    steps = np.abs(np.diff(values, axis=2)).mean((0, 1))
    at = np.arange(1, values.shape[2]) % period == 0
    return steps[at].mean() / steps[~at].mean()


def test_a_network_of_one_size_takes_tiles_of_that_size_only():
    fixed = tiny.network("vit_tiny_patch16_224")
    with pytest.raises(UserError, match="cannot take tiles of 128 pixels: give tiles of 64, its own size"):
        predict_tiles(fixed, noise(200, 200), [tiny.SEGMENTATION], Tiling(128))
    assert predict_tiles(fixed, noise(80, 70), [tiny.SEGMENTATION], Tiling(64))["lesion_segmentation"].shape == (
        2,
        80,
        70,
    )
