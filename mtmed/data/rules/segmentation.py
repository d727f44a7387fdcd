"""Masks in a table: a file per row."""

from collections.abc import Collection, Iterable
from functools import partial

from pydantic import Field

from mtmed.data.annotation import load_mask
from mtmed.data.conditions import Condition, holds
from mtmed.data.raw import Labels
from mtmed.data.rules._base import Locate, mapped
from mtmed.data.rules._base import Rule as Base
from mtmed.data.table import Row
from mtmed.types import HeadSpec

COLUMNS = {  # by the head's name
    "lung_segmentation": "lung_mask",
    "opacity_segmentation": "opacity_mask",
    "lesion_segmentation": "lesion_mask",
    "mass_segmentation": "lesion_mask",
}


class Rule(Base):
    """A mask file per row; `values` says which pixel values are which class (default: non-zero the first)."""

    mask: str
    values: dict[str, list[int]] = Field(default_factory=dict)
    where: Condition = Field(default_factory=dict)

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
        labelled = mapped(spec, self.values)
        return Labels(labelled, mask=partial(load_mask, locate(row[self.mask]), values, labelled))


def default(spec: HeadSpec, columns: Collection[str]) -> Rule | None:
    """The usual column of a head of this name."""
    column = COLUMNS.get(spec.name)
    if column is None or column not in columns:
        return None
    # mini-MIAS has lesions without a place (*NOTE 3*): an empty mask, but not a breast free of lesions
    return Rule(mask=column, where={"location_complete": [True]} if "location_complete" in columns else {})
