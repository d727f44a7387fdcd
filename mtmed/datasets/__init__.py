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
    card = find(__name__, name, "data set").CARD
    yield f"{card.title} ({card.modality.replace('_', ' ')})"
    for need in card.needs:
        yield f"  on disk    {need.pattern}: {need.what}{' (optional)' if need.optional else ''}"
    for kind, terms in card.terms.items():
        yield f"  {kind:<10} {', '.join(terms)}"
    for what in ("patients", "split", "page", "licence", "citation"):
        yield f"  {what:<10} {getattr(card, what) or 'none'}"
    for address in card.download:
        yield f"  download   {address}"
    for defect in card.defects:
        yield f"  beware     {defect}"
    yield f"  tried on   {card.tried or UNTRIED}"


def markdown() -> str:
    """The cards of all readers, for the docs."""
    return "\n".join(line for name in cards() for line in _section(name))


def _section(name: str) -> Iterator[str]:
    head, *lines = told(name)
    yield from (f"## `{name}`: {head}", "", "| | |", "|---|---|")
    yield from (f"| {line[2:13].strip()} | {line[13:].replace('|', chr(92) + '|')} |" for line in lines)
    yield ""
