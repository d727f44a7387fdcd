"""Errors that a user can mend: one line that names the thing, what was expected and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in the input, the configuration or the environment; commands print it and exit 2."""


def unknown(noun: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is none of `known`; it suggests the nearest one."""
    known = sorted(known)
    begun = [k for k in known if len(name) > 2 and k.startswith(name)]
    nearest = get_close_matches(name, known, n=1, cutoff=0.5) or begun
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return UserError(f"unknown {noun} {name!r}: expected one of {', '.join(known)}{hint}")
