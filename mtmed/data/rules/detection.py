"""Boxes in a table: JSON in a cell."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from mtmed.data.annotation import parse_boxes
from mtmed.data.conditions import Condition, holds, matches
from mtmed.data.raw import Labels
from mtmed.data.rules._base import Locate, mapped
from mtmed.data.rules._base import Rule as Base
from mtmed.data.table import Row
from mtmed.types import HeadSpec

COLUMN = "lesion_boxes"


class Rule(Base):
    """Boxes as JSON [{"label", "xywh"}]: `labels` says which are which class (default: all the first).

    Boxes are positives; that a class has none is known only where one of the `complete` conditions holds.
    """

    boxes: str
    labels_: dict[str, list[str]] = Field(default_factory=dict)
    complete: list[Condition] = Field(default_factory=list)

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
        indices = np.array([index for index, _ in kept], np.int64)
        labelled = mapped(spec, self.labels_)
        if not any(holds(condition, row) for condition in self.complete):
            labelled &= np.isin(np.arange(len(spec.classes)), indices)
        if not labelled.any():
            return None
        xywh = np.array([xywh for _, xywh in kept], np.float32).reshape(-1, 4)
        xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        return Labels(labelled, boxes=(xyxy, indices))

    def _class(self, box: Mapping[str, Any], spec: HeadSpec) -> int | None:
        if not self.labels_:
            return 0
        label = str(box.get("label", ""))
        accepted = (spec.classes.index(c) for c, names in self.labels_.items() if matches(label, names))
        return next(accepted, None)


def default(spec: HeadSpec, columns: Collection[str]) -> Rule | None:  # noqa: ARG001
    """The column `lesion_boxes`, for any head."""
    return Rule(boxes=COLUMN, complete=_complete(columns)) if COLUMN in columns else None


def _complete(columns: Collection[str]) -> list[Condition]:
    for statement in ("boxes_complete", "location_complete"):
        if statement in columns:  # the table itself says so: nothing is to be inferred
            return [{statement: [True]}]
    return [{"label": ["normal"]}, {"opacity_mask": "present"}]
