import numpy as np
import pytest

from mtmed.errors import UserError
from mtmed.evaluation.threshold import Threshold, apply, tune


def scene(inverted: bool):
    rng = np.random.default_rng(0)
    masks = np.zeros((5, 16, 16), bool)
    masks[:4, 4:8, 5:10] = True  # the last image has no lesion
    images = np.where(masks, 0.8, 0.3) + 0.05 * rng.standard_normal(masks.shape)
    return (1 - images if inverted else images).astype(np.float32), masks


@pytest.mark.parametrize("inverted", [False, True])
def test_a_bright_or_dark_lesion_is_found(inverted):
    images, masks = scene(inverted)
    threshold = tune(images, masks)
    assert threshold.above is not inverted
    predicted = apply(threshold, images[:4])
    dice = 2 * (predicted & masks[:4]).sum() / (predicted.sum() + masks.sum())
    assert dice > 0.9


def test_no_lesion_to_tune_on():
    with pytest.raises(UserError, match="no mask with a lesion"):
        tune(np.zeros((1, 4, 4)), np.zeros((1, 4, 4), bool))


def test_both_sides():
    image = np.array([[0.1, 0.5, 0.9]])
    assert apply(Threshold(0.5, above=True), image).tolist() == [[False, False, True]]
    assert apply(Threshold(0.5, above=False), image).tolist() == [[True, True, False]]
