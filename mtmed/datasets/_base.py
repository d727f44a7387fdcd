"""What every reader of a public data set offers: a card, options, and a folder that is checked before it is read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mtmed.data.exam import KINDS, Exam, raw_study, terms_of
from mtmed.data.raw import RawStudy
from mtmed.errors import UserError, unknown
from mtmed.types import HeadSpec


@dataclass(frozen=True)
class Need:
    """What a reader looks for on disk: a glob pattern below the raw folder, and what it is."""

    pattern: str
    what: str
    optional: bool = False


@dataclass(frozen=True)
class Card:
    """What is to be known of a data set before it is used.

    Attributes:
        title, modality: for people, and one of our modalities.
        terms: {masks | boxes | values | measurements: what the data set says of its images}.
        needs: what the reader looks for on disk.
        patients: how images are grouped by patient.
        columns: what else it says of an image, by which sites may be made (`mtmed partition --by natural:COLUMN`).
        split: the official split, in words; empty: there is none.
        page: where a user finds it, or asks for it.
        download: the address of a file that needs no registration; empty: ask at `page`.
        licence, citation: as the source states them.
        defects: what is known to be wrong with it.
        tried: what of the original the reader was run on; empty: only files made in its shape.
    """

    title: str
    modality: str
    terms: Mapping[str, tuple[str, ...]]
    needs: tuple[Need, ...]
    patients: str
    page: str
    licence: str
    citation: str
    defects: tuple[str, ...]
    columns: tuple[str, ...] = ()
    split: str = ""
    download: tuple[str, ...] = ()
    tried: str = ""


class Options(BaseModel):
    """What a site may say of a public data set.

    Attributes:
        heads: {head: {class: terms of the data set}}; null: not labelled here. A head that is not listed takes the
            terms named like its classes.
        split: `folds` as params.yaml says (a patient has the same fold at every site), or the data set's `official`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    heads: dict[str, dict[str, list[str]] | None] = {}
    split: Literal["folds", "official"] = "folds"


def translated(
    exams: Iterable[Exam], card: Card, options: Options, heads: Mapping[str, HeadSpec]
) -> Iterator[RawStudy]:
    """The studies of a site, from the exams of a reader.

    Raises:
        UserError: an option names a head, a class or a term that does not exist, or a split that does not.
    """
    _expect_options(card, options, heads)
    for exam in exams:
        yield raw_study(exam, heads, options.heads, options.split == "official")


def _expect_options(card: Card, options: Options, heads: Mapping[str, HeadSpec]) -> None:
    if options.split == "official" and not card.split:
        raise UserError(f"options.split: {card.title} has no official split; say folds")
    known = {KINDS[what]: terms for what, terms in card.terms.items()}
    for head, classes in options.heads.items():
        if head not in heads:
            raise unknown("head", head, heads)
        for name in classes or {}:
            if name not in heads[head].classes:
                raise unknown(f"class of head {head!r}", name, heads[head].classes)
        for term in (t for terms in terms_of(heads[head], classes or {}) for t in terms):
            offered = known.get(heads[head].kind, ())
            if classes and term not in offered:
                raise unknown(f"term of {card.title} for {heads[head].kind}", term, offered or {"(none)"})


def root(raw: Path, card: Card, deepest: int = 2) -> Path:
    """The folder that holds what the card needs: `raw`, or one below it (archives nest their folders).

    Raises:
        UserError: no such folder; the message says what was looked for and what was found.
    """
    layer = [raw]
    for _ in range(deepest + 1):
        for folder in layer:
            if not missing(folder, card):
                return folder
        layer = [sub for folder in layer for sub in _folders(folder)]
    raise UserError(_not_found(raw, card))


def missing(folder: Path, card: Card) -> list[Need]:
    """What the card needs and `folder` lacks."""
    return [need for need in card.needs if not need.optional and next(folder.glob(need.pattern), None) is None]


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and p.name != "__MACOSX" and not p.name.startswith("."))


def _not_found(raw: Path, card: Card) -> str:
    looked = "; ".join(f"{need.pattern} ({need.what})" for need in missing(raw, card))
    found = [p.name + ("/" if p.is_dir() else "") for p in islice(sorted(raw.iterdir()), 8)]
    return f"{card.title}: {raw} lacks {looked}; found {', '.join(found) or 'nothing'}"
