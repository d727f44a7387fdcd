"""Errors that a user can mend: one line that names the thing, what was expected and the remedy."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in the input, the configuration or the environment; commands print it and exit 2."""


def unknown(noun: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is none of `known`; it suggests the nearest one."""
    known = sorted(known)
    near = nearest(name, known)
    hint = f"; did you mean {near!r}?" if near else ""
    return UserError(f"unknown {noun} {name!r}: expected one of {', '.join(known)}{hint}")


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The one of `known` that somebody may have meant who wrote `name`."""
    begun = [k for k in known if len(name) > 2 and k.startswith(name)]
    return next(iter(get_close_matches(name, known, n=1, cutoff=0.5) or begun), None)
