"""How the columns of a table become the targets of a head; what no rule covers is unknown, never negative."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from mtmed.data.annotation import load_mask, parse_boxes
from mtmed.data.conditions import Condition, holds, matches
from mtmed.data.raw import Labels
from mtmed.data.table import Row
from mtmed.errors import UserError, unknown
from mtmed.types import Array, HeadSpec

Locate = Callable[[str], Path]


class Rule(BaseModel):
    """How one head reads a row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def columns(self) -> set[str]:
        """The columns that this rule reads."""
        raise NotImplementedError

    def named(self) -> Iterable[str]:
        """The classes that this rule names; each must be the head's."""
        raise NotImplementedError

    def labels(self, row: Row, spec: HeadSpec, locate: Locate) -> Labels | None:
        """The head's target in `row`, or None where it is not labelled; `locate` finds a file named in it."""
        raise NotImplementedError


class Segmentation(Rule):
    """A mask file per row; `values` says which pixel values are which class (default: non-zero the first)."""

    mask: str
    values: dict[str, list[int]] = {}
    where: Condition = {}

    def columns(self) -> set[str]:
        """The mask's column and the condition's."""
        return {self.mask, *self.where}

    def named(self) -> Iterable[str]:
        """The classes that have pixel values."""
        return self.values

    def labels(self, row: Row, spec: HeadSpec, locate: Locate) -> Labels | None:
        """Labelled where the row names a mask file and `where` holds."""
        if not row.get(self.mask) or not holds(self.where, row):
            return None
        values = [self.values.get(name) for name in spec.classes]
        labelled = _mapped(spec, self.values)
        return Labels(labelled, mask=partial(load_mask, locate(row[self.mask]), values, labelled))


class Detection(Rule):
    """Boxes as JSON [{"label", "xywh"}]: `labels` says which are which class (default: all the first).

    Boxes are positives; that there are no others is known only where one of the `complete` conditions holds.
    """

    boxes: str
    labels_: dict[str, list[str]] = {}
    complete: list[Condition] = []

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: name.rstrip("_"))

    def columns(self) -> set[str]:
        """The boxes' column and the conditions'."""
        return {self.boxes, *(column for condition in self.complete for column in condition)}

    def named(self) -> Iterable[str]:
        """The classes that have box labels."""
        return self.labels_

    def labels(self, row: Row, spec: HeadSpec, locate: Locate) -> Labels | None:  # noqa: ARG002
        """Labelled where there are boxes of the head's classes, or where the row says that there are none."""
        if self.boxes not in row:
            return None
        found = [(self._class(box, spec), box["xywh"]) for box in parse_boxes(row[self.boxes])]
        kept = [(index, xywh) for index, xywh in found if index is not None]
        if not kept and not any(holds(condition, row) for condition in self.complete):
            return None
        xywh = np.array([xywh for _, xywh in kept], np.float32).reshape(-1, 4)
        xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        indices = np.array([index for index, _ in kept], np.int64)
        return Labels(_mapped(spec, self.labels_), boxes=(xyxy, indices))

    def _class(self, box: Mapping[str, Any], spec: HeadSpec) -> int | None:
        if not self.labels_:
            return 0
        accepted = (spec.classes.index(c) for c, names in self.labels_.items() if box.get("label") in names)
        return next(accepted, None)


class Classification(Rule):
    """A column of words: which are positive for which class, and which are negative for all of them."""

    column: str
    positive: dict[str, list[Any]]
    negative: list[Any] = []

    def columns(self) -> set[str]:
        """The one column."""
        return {self.column}

    def named(self) -> Iterable[str]:
        """The classes that have positive words."""
        return self.positive

    def labels(self, row: Row, spec: HeadSpec, locate: Locate) -> Labels | None:  # noqa: ARG002
        """Labelled where the word is one of those listed."""
        cell = row.get(self.column, "")
        positive = np.array([matches(cell, self.positive.get(name, [])) for name in spec.classes])
        if not positive.any() and not matches(cell, self.negative):
            return None
        return Labels(_mapped(spec, self.positive), values=positive.astype(np.float32))


RULES: dict[str, type[Rule]] = {
    "segmentation": Segmentation,
    "detection": Detection,
    "classification": Classification,
}


def parse(raw: Mapping[str, Any], spec: HeadSpec) -> Rule:
    """The rule that a user wrote for a head.

    Raises:
        UserError: the head's kind has no rules, a key is unknown, or a class is not the head's.
    """
    if spec.kind not in RULES:
        raise UserError(f"head {spec.name!r} is a {spec.kind}: only {', '.join(RULES)} can be read from columns")
    try:
        rule = RULES[spec.kind].model_validate(dict(raw))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in (spec.name, *first["loc"]))
        raise UserError(f"mapping of {where}: {first['msg']}") from error
    for name in rule.named():
        if name not in spec.classes:
            raise unknown(f"class of head {spec.name!r}", name, spec.classes)
    return rule


def _mapped(spec: HeadSpec, by_class: Mapping[str, Any]) -> Array:
    """[K] bool: the classes that a rule speaks of; without any named, the first."""
    return np.array([name in by_class if by_class else k == 0 for k, name in enumerate(spec.classes)])
