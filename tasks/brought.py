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
    if config.training.freeze_encoder:
        raise UserError(
            f"site {place.site!r} starts from a model of its own, and training.freeze_encoder is true: a merge of two "
            "encoders would stay as it is for ever; take one of the two out"
        )
    sites, rounds = list(config.sites), config.federation.rounds
    if len(config.strategy.order.chains(sites, 0, rounds)) < len(sites):
        raise UserError(
            f"site {place.site!r} starts from a model of its own, and strategy {config.federation.strategy!r} has "
            "sites train in turn, each from the model of the one before it: choose order: together, with an alignment"
        )
    net = build(config.architecture)
    checkpoint.load_weights(net, started(place, config, checkpoint.weights(net)))


def started(place: Place, config: Config, mean: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the site starts from: the values of its own model, and for heads that this has not, those of `mean`.

    Raises:
        UserError: no such file, no model, or another encoder, width, or meaning of a head. It names no path: it may
            travel.
    """
    if place.start is None:
        return dict(mean)
    if not place.start.is_file():
        raise UserError(
            f"site {place.site!r}: no model {place.start.name!r} where `start` says: put it there, or take `start` out"
        )
    model, found = checkpoint.read_model(place.start.read_bytes(), f"the start of site {place.site!r}")
    wanted = config.architecture
    if (found.encoder, found.channels) != (wanted.encoder, wanted.channels):
        raise UserError(
            f"site {place.site!r}: expected a start with encoder {wanted.encoder!r} and {wanted.channels} channels, "
            f"got {found.encoder!r} and {found.channels}"
        )
    for head in found.heads:
        meant = config.heads.get(head.name)
        if meant and (meant.kind, meant.classes) != (head.kind, head.classes):
            raise UserError(
                f"site {place.site!r}: its start has a head {head.name!r} of kind {head.kind!r} with classes "
                f"{', '.join(head.classes)}: expected {meant.kind!r} with {', '.join(meant.classes)}, in this order"
            )
    known = {"encoder", *config.heads}
    return dict(mean) | {name: value for name, value in model.mean.items() if part(name) in known}


def origin(place: Place) -> dict[str, str]:
    """What a lineage says of it."""
    if place.start is None or not place.start.is_file():
        return {}
    return {"start": f"sha256:{sha256(place.start.read_bytes()).hexdigest()}"}
