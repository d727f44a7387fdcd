"""Errors that a user can mend: one line that names the thing, what was expected and the remedy."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in the input, the configuration or the environment; commands print it and exit 2."""


class NotFinite(UserError):
    """A number that is NaN or infinite, met before it reached the weights.

    Attributes:
        what: the pixels, the loss, the gradient.
        head: whose loss or gradient; None for pixels, and for a gradient of the encoder alone.
        step: the training's step, counted from 1; None outside of a training.
        studies: pseudonyms of the images that it came from. Not in the message: messages leave sites and are logged.
    """

    def __init__(self, what: str, head: str | None, studies: Sequence[str]) -> None:
        super().__init__(what)
        self.what, self.head, self.studies = what, head, tuple(studies)
        self.step: int | None = None

    def __str__(self) -> str:
        of = f" of head {self.head!r}" if self.head else ""
        at = f" at step {self.step}" if self.step else ""
        return f"{self.what}{of}{at}: expected finite numbers, got NaN or infinity"


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
