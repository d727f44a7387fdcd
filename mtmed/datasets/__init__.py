"""One public data set or format each: where its studies and their targets are."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from mtmed.data.raw import RawStudy
from mtmed.datasets._base import Card, Options, translated
from mtmed.registry import find, names
from mtmed.types import HeadSpec

UNTRIED = "never run on an original: only on files made in its shape"


def cards() -> dict[str, Card]:
    """{reader: its card}."""
    return {name: find(__name__, name, "data set").CARD for name in names(__name__)}


def options(name: str) -> type[BaseModel]:
    """What `sites.<site>.options` may say of a reader: its own `Options`, or those of all.

    Raises:
        UserError: there is no such reader.
    """
    return getattr(find(__name__, name, "data set"), "Options", Options)


def studies(name: str, raw: Path, said: BaseModel, heads: Mapping[str, HeadSpec]) -> Iterator[RawStudy]:
    """The studies that a reader finds in `raw`, with the targets of `heads`.

    Args:
        said: an instance of the reader's options.

    Raises:
        UserError: the folder is not as the card says, or an option does not fit.
    """
    reader = find(__name__, name, "data set")
    if hasattr(reader, "studies"):  # it has options of its own
        yield from reader.studies(raw, said, heads)
    elif isinstance(said, Options):
        yield from translated(reader.exams(raw), reader.CARD, said, heads)


def listed() -> Iterator[str]:
    """A line per reader: its name, a star if it was never run on an original, its title and what it gives."""
    for name, card in cards().items():
        terms = "; ".join(f"{kind}: {', '.join(terms)}" for kind, terms in card.terms.items())
        yield f"{name:<15} {' ' if card.tried else '*'} {card.title}: {terms}"


def told(name: str) -> Iterator[str]:
    """Everything about one reader, a line each.

    Raises:
        UserError: there is no such reader.
    """
    yield _heading(name)
    yield from (f"  {what:<13}{text}" for what, text in _facts(name))


def _heading(name: str) -> str:
    card = find(__name__, name, "data set").CARD
    return f"{card.title} ({card.modality.replace('_', ' ')})"


def _facts(name: str) -> Iterator[tuple[str, str]]:
    card = find(__name__, name, "data set").CARD
    yield from (("on disk", f"{n.pattern}: {n.what}{' (optional)' if n.optional else ''}") for n in card.needs)
    yield from ((kind, ", ".join(terms)) for kind, terms in card.terms.items())
    yield "columns", ", ".join(card.columns) or "none"
    yield from ((what, getattr(card, what) or "none") for what in ("patients", "split", "page", "licence", "citation"))
    yield from (("download", address) for address in card.download)
    yield from (("beware", defect) for defect in card.defects)
    yield "tried on", card.tried or UNTRIED


def markdown() -> str:
    """The cards of all readers, for the docs."""
    return "\n".join(line for name in cards() for line in _section(name))


def _section(name: str) -> Iterator[str]:
    yield from (f"## `{name}`: {_heading(name)}", "", "| | |", "|---|---|")
    yield from (f"| {what} | {text.replace('|', chr(92) + '|')} |" for what, text in _facts(name))
    yield ""
