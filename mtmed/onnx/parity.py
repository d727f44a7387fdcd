"""Whether an exported network says what the original says.

A difference is absolute where a tensor's values are at most 1, as probabilities are, and relative to the largest of an
image's values where they are not: a corner of a box is a difference of hundreds of pixels, and has no more digits.
"""

import torch

from mtmed.errors import UserError
from mtmed.models.engine import Engine, Standard
from mtmed.onnx.graph import STEP
from mtmed.training.seeds import generator

TOLERANCE = 1e-4
BATCHES = (1, 3, 2)
SIZES = (2 * STEP, 5 * STEP)  # beside the network's own


def check_parity(original: Engine, exported: Engine) -> float:
    """The largest difference over all tensors of all heads.

    On random images of several numbers and sizes, with each image's own standard and with a given one.

    Raises:
        UserError: it exceeds `TOLERANCE`.
    """
    sizes = [original.architecture.image_size, *(s for s in SIZES if exported.accepts(s))]
    found = max(difference(original, exported, images(b, s), t) for s in sizes for b, t in _cases())
    if not found <= TOLERANCE:
        raise UserError(
            f"the exported network differs from the original by {found:.1e}, and {TOLERANCE:.0e} is allowed: "
            "this encoder cannot be used with ONNX"
        )
    return found


def images(count: int, size: int) -> torch.Tensor:
    """Random images [B,1,S,S], of which the first has a half in black, as films have."""
    drawn = torch.rand(count, 1, size, size, generator=generator("parity", count, size))
    drawn[0, :, :, size // 2 :] = 0
    return drawn


def difference(a: Engine, b: Engine, images: torch.Tensor, standard: Standard | None = None) -> float:
    """How far `b` is from `a` on these images, at most; infinite where only one of them has no number."""
    heads = [h.name for h in a.architecture.heads]
    one, two = (engine.tensors(images, heads, standard) for engine in (a, b))
    return max(_largest(one[h][part], two[h][part]) for h in heads for part in one[h])


def _cases() -> list[tuple[int, Standard | None]]:
    return [*((count, None) for count in BATCHES), (BATCHES[-1], (torch.tensor(0.3), torch.tensor(0.2)))]


def _largest(expected: torch.Tensor, found: torch.Tensor) -> float:
    if expected.shape != found.shape:
        return float("inf")
    largest = expected.abs().flatten(1).amax(1).clamp(min=1)
    distance = (expected - found).abs().flatten(1).amax(1) / largest
    return float(distance.nan_to_num(nan=float("inf")).max())
