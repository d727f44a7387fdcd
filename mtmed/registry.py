"""Modules found by their name: a data set, a head kind or a part of a strategy is one file in its package."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from mtmed.errors import unknown


@cache  # asked several times for every image
def names(package: str) -> tuple[str, ...]:
    """The names that `find` accepts for a package: its public modules."""
    path = import_module(package).__path__
    return tuple(sorted(m.name for m in iter_modules(path) if not m.name.startswith("_")))


def expect(package: str, name: str, noun: str) -> None:
    """Check that `find` will find the module `name` of `package`, without importing it.

    Raises:
        UserError: no such module; the message lists what exists and the nearest name.
    """
    if name not in names(package):
        raise unknown(noun, name, names(package))


def find(package: str, name: str, noun: str) -> ModuleType:
    """The module `name` of `package`.

    Raises:
        UserError: no such module; the message lists what exists and the nearest name.
    """
    expect(package, name, noun)
    return import_module(f"{package}.{name}")
