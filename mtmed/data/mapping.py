"""The rules of a table, by head: those that a user wrote, and the usual ones."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from mtmed.data.rules._base import Rule
from mtmed.errors import UserError, unknown
from mtmed.registry import find, names
from mtmed.types import HeadSpec

_RULES = "mtmed.data.rules"


def parse(raw: Mapping[str, Any], spec: HeadSpec) -> Rule:
    """The rule that a user wrote for a head.

    Raises:
        UserError: the head's kind has no rules, a key is unknown, or a class is not the head's.
    """
    if spec.kind not in names(_RULES):
        kinds = ", ".join(names(_RULES))
        raise UserError(f"head {spec.name!r} is a {spec.kind}: only {kinds} can be read from columns")
    try:
        rule: Rule = find(_RULES, spec.kind, "rule").Rule.model_validate(dict(raw))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in (spec.name, *first["loc"]))
        raise UserError(f"mapping of {where}: {first['msg']}") from error
    for name in rule.named():
        if name not in spec.classes:
            raise unknown(f"class of head {spec.name!r}", name, spec.classes)
    return rule


def default_rule(spec: HeadSpec, columns: Collection[str]) -> Rule | None:
    """The rule for a head in a table with these columns, or None: the table does not speak of the head."""
    if spec.kind not in names(_RULES):
        return None
    rule: Rule | None = find(_RULES, spec.kind, "rule").default(spec, columns)
    return rule
