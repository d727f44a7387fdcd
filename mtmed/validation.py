"""What pydantic refuses, as one line: the key, what was expected, what came, and the nearest key that exists."""

from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from mtmed.errors import unknown


def one_line(error: ValidationError, model: type[BaseModel], above: tuple[str, ...] = ()) -> str:
    """The first mistake in a `model` that lies below the keys `above`; mistyped keys before missing ones."""
    mistyped = ("extra_forbidden", "unexpected_keyword_argument")
    first = min(error.errors(), key=lambda e: e["type"] not in mistyped)
    loc = first["loc"]
    where = ".".join(map(str, (*above, *loc)))
    if first["type"] in mistyped:
        siblings = [".".join(map(str, (*above, *loc[:-1], k))) for k in _siblings(loc, model)]
        return str(unknown("key", where, siblings))
    came = f", got {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
    message = " ".join(first["msg"].removeprefix("Value error, ").split())
    return f"{where + ': ' if where else ''}{message}{came}"


def _siblings(loc: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The keys that are known where `loc` was refused."""
    here: Any = model
    for part in loc[:-1]:
        named = get_origin(here) is dict  # then `part` is a name of the user's own
        here = get_args(here)[-1] if named else here.model_fields[part].annotation
        here = get_args(here)[0] if get_origin(here) is UnionType else here  # a section that may be left out
    known = getattr(here, "model_fields", None) or [f.name for f in fields(here)]
    return [k for k in known if k != "name"]
