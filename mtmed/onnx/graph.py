"""The network as one function of tensors: what an ONNX file holds."""

from typing import cast

import torch
from torch import Tensor, nn

from mtmed.models.engine import Standard
from mtmed.models.multitask import MultiTask, brightness

IMAGES, STANDARD = "images", "standard"
STEP, LARGEST = 32, 4096  # sizes of images are multiples of the one, up to the other
OWN = (float("nan"), float("nan"))  # the `standard` that stands for each image's own


class Graph(nn.Module):
    """From `images [B,1,S,S]` in 0..1 to the tensors of every head, in the order of `names`.

    `standard [2]` is the mean and the deviation by which all images are standardised; where it is `OWN`, each
    image's own.
    """

    def __init__(self, net: MultiTask) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor, standard: Tensor) -> tuple[Tensor, ...]:
        own = brightness(images)
        given = tuple(torch.where(s.isnan(), o, s) for s, o in zip(standard.unbind(), own, strict=True))
        heads = list(self.net.heads)
        outputs = self.net(images, heads, cast(Standard, given))
        return tuple(t for head in heads for t in self.net.decoder(head).tensors(outputs[head]).values())


def names(net: MultiTask) -> list[str]:
    """`<head>`, or `<head>.<part>` of a head that says several things."""
    size = net.architecture.image_size
    found = net.tensors(torch.zeros(1, 1, size, size), list(net.heads))
    return [f"{head}.{part}" if part else head for head, parts in found.items() for part in parts]
