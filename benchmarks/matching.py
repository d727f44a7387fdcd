"""What matching costs: one visit to each site at one wide layer, and a round of whole networks.

    python -m benchmarks.matching                        # width 1024, 1025 numbers a unit, 16 sites; some minutes
    python -m benchmarks.matching --width 256 --sites 4
    python -m benchmarks.matching --fedma <checkout of github.com/IBM/FedMA>      # beside that project's own code

The peer is PFNM's cost as it is published (Yurochkin et al. 2019; FedMA's layers have the same form), unit by unit in
numpy, with one variance for all weights; its width is fixed, or grows by its own rule. All are given
the same layer: the units of every site are the first site's in another order, with noise. *Right* is the share of units
that come to their places. One thread.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from scipy.optimize import linear_sum_assignment

from benchmarks.fedma import FedMA
from mtmed.matching.align import Said, align
from mtmed.matching.assignment import assigned
from mtmed.matching.cost import Reference, costs
from mtmed.matching.group import Group, Member, Part, permuted
from mtmed.matching.symmetries import symmetries
from mtmed.models.multitask import build
from mtmed.types import Architecture, Array, HeadSpec

NOISE = 0.3  # of a weight's deviation
# The precision of a site's weights in the peer, whose prior has precision 1 and mean 0: that of twice the deviation. At
# the true one its rule makes new units of most of them.
SURE = 1 / (2 * NOISE) ** 2
GAMMA = 7.0  # how readily new units are made

Layer = list[tuple[Array, Array]]  # of each site: units [width, D], and which of the first site's each is
Matcher = Callable[[Layer], list[Array]]  # of each site but the first: the unit at each place, -1 for none


def main(
    width: int = 1024,
    inputs: Annotated[int, typer.Option(help="of the layer, and as many outputs")] = 512,
    sites: int = 16,
    networks: Annotated[bool, typer.Option(help="also whole networks")] = True,
    fedma: Annotated[Path | None, typer.Option(help="a checkout of github.com/IBM/FedMA")] = None,
) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    layer = _layer(width, 2 * inputs + 1, sites)
    matchers: dict[str, Matcher] = {
        "ours, by precision": partial(_ours, inputs),
        "PFNM's cost, unit by unit, width fixed": partial(_peer, False),
        "PFNM's cost, unit by unit, width grows": partial(_peer, True),
    }
    if fedma is not None:
        matchers["FedMA's own code, width grows"] = FedMA(fedma, SURE, GAMMA)
    print("| what | seconds | right |\n|---|---|---|")
    for name, matcher in matchers.items():
        start = time.perf_counter()
        found = matcher(layer)
        seconds = time.perf_counter() - start
        right = np.mean([np.mean(true[unit[:width]] == np.arange(width)) for unit, (_, true) in _pairs(found, layer)])
        print(f"| {name} | {seconds:.1f} | {right:.3f} |", flush=True)
    if networks:
        _networks()


def _pairs(found: list[Array], layer: Layer) -> list[tuple[Array, tuple[Array, Array]]]:
    return list(zip(found, layer[1:], strict=True))


def _layer(width: int, size: int, sites: int) -> Layer:
    rng = np.random.default_rng(0)
    first = rng.standard_normal((width, size), np.float32)
    orders = [np.arange(width), *(rng.permutation(width) for _ in range(1, sites))]
    return [(first[o] + np.float32(NOISE) * rng.standard_normal((width, size), np.float32), o) for o in orders]


def _ours(inputs: int, layer: Layer) -> list[Array]:
    """As in `mtmed.matching.align`, with every precision 1: sums of what was seen, a cost, an assignment."""
    width = len(layer[0][0])
    index = torch.arange(width)[None, :, None]
    members = (Member("into", 0, index), Member("shift", 0, index), Member("out", 1, index))
    group = Group("layer", 1, (Part(width, members),))
    sites = [_parameters(torch.from_numpy(units), inputs) for units, _ in layer]
    sums, found = dict(sites[0]), []
    for number, site in enumerate(sites[1:], 1):
        mean = {name: value / number for name, value in sums.items()}
        precision = {name: torch.full_like(value, float(number)) for name, value in sums.items()}
        order = assigned(group, costs(group, site, Reference(mean, precision)))
        moved = permuted(site, [group], {group.name: order})
        sums = {name: value + moved[name] for name, value in sums.items()}
        found.append(order[0].numpy())
    return found


def _parameters(units: torch.Tensor, inputs: int) -> dict[str, torch.Tensor]:
    return {"into": units[:, :inputs], "shift": units[:, inputs], "out": units[:, inputs + 1 :].T}


def _peer(grows: bool, layer: Layer) -> list[Array]:
    """`total` and `seen` are PFNM's sums over the sites so far, by place."""
    total, seen, found = layer[0][0].copy(), np.ones(len(layer[0][0])), []
    for units, _ in layer[1:]:
        gain = np.stack([_gains(unit, total, seen, len(layer)) for unit in units], 1)
        if grows:
            fresh = ((SURE * units) ** 2).sum(1) / (1 + SURE)
            ranks = 2 * np.log(np.arange(1, len(units) + 1))
            gain = np.concatenate([gain, fresh[None] - ranks[:, None] + 2 * math.log(GAMMA / len(layer))])
        places, chosen = linear_sum_assignment(-gain)
        used = np.unique(places[places >= len(total)])
        total = np.concatenate([total, np.zeros((len(used), total.shape[1]), total.dtype)])
        seen = np.concatenate([seen, np.zeros(len(used))])
        rows = np.where(places < len(seen) - len(used), places, len(seen) - len(used) + np.searchsorted(used, places))
        total[rows] += units[chosen]
        seen[rows] += 1
        order = np.full(len(total), -1)
        order[rows] = chosen
        found.append(order)
    return found


def _gains(unit: Array, total: Array, seen: Array, sites: int) -> Array:
    """What every place's posterior gains by a unit."""
    before, after = 1 + SURE * seen, 1 + SURE * (seen + 1)
    popular = 2 * np.log(seen / np.maximum(sites - seen, 1e-9))
    gains: Array = ((SURE * (total + unit)) ** 2).sum(1) / after - ((SURE * total) ** 2).sum(1) / before + popular
    return gains


def _networks() -> None:
    """The default network with all heads: four sites that started from it, and one that comes from elsewhere."""
    kinds = ("segmentation", "detection", "classification", "regression")
    heads = tuple(HeadSpec(kind, kind, ("one",), ("mammography",)) for kind in kinds)
    net = build(Architecture("mtmedformer_tiny", 64, 128, heads))
    start = time.perf_counter()
    groups = symmetries(net).groups
    print(f"\n{len(groups)} groups found in {time.perf_counter() - start:.2f} s\n")
    state, draw = {k: v.detach() for k, v in net.state_dict().items()}, torch.Generator().manual_seed(0)
    ones = {name: torch.ones(()) for name in state}
    near = [
        Said({k: v + 0.01 * torch.randn(v.shape, generator=draw) for k, v in state.items()}, ones) for _ in range(4)
    ]
    other = {k: v.detach() for k, v in build(net.architecture, 1).state_dict().items()}
    print("| whole networks | seconds |\n|---|---|")
    for name, sites in (
        ("four sites that started from the model", near),
        ("one of another initialisation", [Said(other, ones)]),
    ):
        start = time.perf_counter()
        align(groups, sites, Said(state, ones))
        print(f"| {name} | {time.perf_counter() - start:.1f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
