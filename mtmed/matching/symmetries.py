"""The groups of units of a network that can change places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from mtmed.matching.book import Book, Walk
from mtmed.matching.group import Group
from mtmed.models.multitask import MultiTask
from mtmed.registry import find, names

FAMILIES = "mtmed.matching.families"


@dataclass(frozen=True)
class Symmetries:
    """What can be permuted, in the order of the network's layers.

    Attributes:
        unknown: the types of layers that were not understood: the units that touch them are in no group.
    """

    groups: tuple[Group, ...]
    unknown: tuple[str, ...] = ()


def symmetries(net: MultiTask) -> Symmetries:
    """The groups of a network, found in its layers: a layer of an unknown type keeps what touches it in its place."""
    walks, enclosed = _families()
    book = Book(net, walks, enclosed)
    given = book.walk(net.encoder, book.axis(1, free=False))
    features = given if isinstance(given, list) else [given] * len(cast(Any, net.encoder).feature_info.channels())
    for head in net.heads.values():
        book.walk(head, features)
    return Symmetries(tuple(book.groups()), tuple(sorted(book.unknown)))


@cache
def _families() -> tuple[dict[type, Walk], tuple[type, ...]]:
    """Of all families: how to walk through their layers, and which layers are enclosed."""
    modules = [find(FAMILIES, name, "family of layers") for name in names(FAMILIES)]
    walks = {kind: walk for module in modules for kind, walk in module.WALKS.items()}
    return walks, tuple(kind for module in modules for kind in getattr(module, "ENCLOSED", ()))
