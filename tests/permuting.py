"""Orders of units drawn at random, and networks whose every parameter says something."""

import torch

from mtmed.matching.group import permuted
from mtmed.matching.symmetries import symmetries
from tests import tiny

NAMES = [head.name for head in tiny.HEADS]


def network(encoder="mtmedformer_tiny", seed=0):
    """With scales and shifts that differ, and statistics too: their order can be seen."""
    net = tiny.opinionated(tiny.network(encoder, seed)).eval()
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.ndim == 1:
                value.add_(torch.rand(value.shape, generator=tiny.seeds(seed, name)), alpha=0.2)
    return net


def drawn(group, generator):
    """Any order that the group allows: of blocks, and in each block of the units of each part."""
    blocks = torch.randperm(group.blocks, generator=generator)
    inside = [torch.stack([torch.randperm(p.units, generator=generator) for _ in blocks]) for p in group.parts]
    return [(blocks[:, None] * p.units + x).flatten() for p, x in zip(group.parts, inside, strict=True)]


def shuffled(net, *parts, groups=None):
    """The network's state with the units of these groups (or all) in other places, and the orders."""
    groups = symmetries(net).groups if groups is None else groups
    generator = tiny.seeds("shuffled", *parts)
    orders = {group.name: drawn(group, generator) for group in groups}
    return permuted(tiny.state(net), groups, orders), orders


def answers(net, state=None):
    """What all heads say of two images, as {head and name: values}."""
    if state is not None:
        net.load_state_dict(state)
    images = torch.rand(2, 1, tiny.SIZE, tiny.SIZE, generator=tiny.seeds("images"))
    return {
        f"{head}.{name}": values for head, parts in net.tensors(images, NAMES).items() for name, values in parts.items()
    }
