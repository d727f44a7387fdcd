"""How sure a predicted mask is: by pixel, and as one number for the image. Both cost nothing beyond the prediction."""

import numpy as np
from scipy.special import entr

from mtmed.types import Array

THRESHOLD = 0.5


def entropy(probability: Array) -> Array:
    """The predictive entropy of each pixel in bits: 0 where the model is sure, 1 where it says 0.5.

    Of a temperature-scaled probability it is how often the model is wrong about such pixels on the whole, not whether
    this image is unlike those that it was trained on: nothing here measures that.
    """
    p = np.asarray(probability, np.float64)
    return np.asarray((entr(p) + entr(1 - p)) / np.log(2))


def soft_dice(probability: Array) -> float:
    """The Dice that a mask may expect of its own probabilities [H,W], the soft Dice confidence of Borges et al. (2024).

    2 sum_M p / (|M| + sum p), where M is the mask, p > 0.5; 0 for an empty mask.
    """
    p = np.asarray(probability, np.float64)
    inside = p > THRESHOLD
    return float(2 * p[inside].sum() / (inside.sum() + p.sum())) if inside.any() else 0.0
