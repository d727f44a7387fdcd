"""A model that a site brings: its first round starts from that, and not from what the federation drew."""

from collections.abc import Mapping
from hashlib import sha256

from torch import Tensor

from mtmed import checkpoint
from mtmed.aggregation.piece import part
from mtmed.config import Config
from mtmed.errors import UserError
from mtmed.models.multitask import build
from tasks.site import Place


def expect_fitting(place: Place, config: Config) -> None:
    """That what the site brings can be used, said before anything is trained.

    Raises:
        UserError: as `started`; or sites train in turn, where the next one would lose what the one before it learnt.
    """
    if place.start is None:
        return
    sites, rounds = list(config.sites), config.federation.rounds
    if len(config.strategy.order.chains(sites, 0, rounds)) < len(sites):
        raise UserError(
            f"site {place.site!r} starts from its own {place.start}, and strategy {config.federation.strategy!r} has "
            "sites train in turn, each from the model of the one before it: choose order: together, with an alignment"
        )
    net = build(config.architecture)
    checkpoint.load_weights(net, started(place, config, checkpoint.weights(net)))


def started(place: Place, config: Config, mean: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the site starts from: the values of its own model, and for heads that this has not, those of `mean`.

    Raises:
        UserError: no such file, no model, or another encoder or width.
    """
    if place.start is None:
        return dict(mean)
    if not place.start.is_file():
        raise UserError(f"site {place.site!r}: no model at {place.start}: put it there, or take `start` out")
    model, found = checkpoint.read_model(place.start.read_bytes(), str(place.start))
    wanted = config.architecture
    if (found.encoder, found.channels) != (wanted.encoder, wanted.channels):
        raise UserError(
            f"site {place.site!r}: expected a start with encoder {wanted.encoder!r} and {wanted.channels} channels, "
            f"got {found.encoder!r} and {found.channels} in {place.start}"
        )
    known = {"encoder", *config.heads}
    return dict(mean) | {name: value for name, value in model.mean.items() if part(name) in known}


def origin(place: Place) -> dict[str, str]:
    """What a lineage says of it."""
    if place.start is None or not place.start.is_file():
        return {}
    return {"start": f"sha256:{sha256(place.start.read_bytes()).hexdigest()}"}
