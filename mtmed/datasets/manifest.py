"""Any folder of images with a manifest: a CSV with one row per image.

Columns: `image` (relative to the manifest) and `patient_id`; as far as the site has them, `modality` or
`view`, and the columns that heads read (mtmed/data/mapping_defaults.py says which, or `heads` below).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from mtmed.data.conditions import Condition, holds
from mtmed.data.mapping import Rule, parse
from mtmed.data.mapping_defaults import default_rule
from mtmed.data.quality import BadStudy
from mtmed.data.raw import Labels, RawStudy, by_head
from mtmed.data.table import Row, read_table
from mtmed.errors import UserError, unknown
from mtmed.modalities import expect, of_view
from mtmed.types import HeadSpec

REQUIRED = ("image", "patient_id")


class Options(BaseModel):
    """What a site says of its manifest.

    Attributes:
        manifest: one or several CSV files, relative to `raw`; image paths are relative to their CSV's folder.
        where: keep only rows with one of these values in these columns, e.g. {source: [nih_cxr14]}.
        modality: of every row; without it the column `modality` says, or else the view.
        heads: how columns become a head's targets, where the defaults do not fit; null: it is not labelled.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    manifest: str | list[str] = "manifest.csv"
    where: Condition = {}
    modality: str | None = None
    heads: dict[str, dict[str, Any] | None] = {}

    @field_validator("modality")
    @classmethod
    def _known_modality(cls, value: str | None) -> str | None:
        if value is not None:
            expect(value)
        return value


def studies(raw: Path, options: Options, heads: Mapping[str, HeadSpec]) -> Iterator[RawStudy]:
    """The studies of a site, in the manifest's order.

    Raises:
        UserError: the manifest, a column or an option is not as expected; a path leads out of `raw`.
    """
    names = [options.manifest] if isinstance(options.manifest, str) else options.manifest
    tables = {name: read_table(raw / _inside(name), REQUIRED) for name in names}
    columns = {name: set(rows.columns) for name, rows in tables.items()}
    rules = _written_rules(options, heads, set().union(*columns.values()))
    seen: set[str] = set()
    for name, rows in tables.items():
        defaults = {h: default_rule(spec, columns[name]) for h, spec in heads.items()}
        known = {**defaults, **rules}
        for row in rows:
            if holds(options.where, row):
                study = _study(raw, PurePosixPath(name).parent, row, options, heads, known)
                if study.study in seen:
                    raise UserError(f"{name}: {row['image']} is listed twice; expected one row per image")
                seen.add(study.study)
                yield study


def _written_rules(options: Options, heads: Mapping[str, HeadSpec], columns: set[str]) -> dict[str, Rule | None]:
    """The rules of `options.heads`, checked against the heads and the columns that exist."""
    rules: dict[str, Rule | None] = {}
    for name, raw in options.heads.items():
        if name not in heads:
            raise unknown("head", name, heads)
        rules[name] = None if raw is None else parse(raw, heads[name])
    written = [rule for rule in rules.values() if rule is not None]
    for column in [*options.where, *(c for rule in written for c in sorted(rule.columns()))]:
        if column not in columns:
            raise unknown("column", column, columns)
    return rules


def _study(
    raw: Path,
    folder: PurePosixPath,
    row: Row,
    options: Options,
    heads: Mapping[str, HeadSpec],
    rules: Mapping[str, Rule | None],
) -> RawStudy:
    image = str(folder / _inside(row["image"]))
    modality = _modality(row, options)
    found: dict[str, Labels] = {}
    fault = "" if row["patient_id"] else "no patient_id: it cannot be kept on one side of the split"
    for name, spec in heads.items():
        rule = rules[name]
        if rule is None or modality not in spec.modalities:
            continue
        try:
            labels = rule.labels(row, spec, lambda cell: raw / folder / _inside(cell))
        except BadStudy as error:
            fault, labels = str(error), None
        if labels is not None:
            found[name] = labels
    return RawStudy(
        study=image,
        patient=row["patient_id"],
        modality=modality,
        image=raw / image,
        **by_head(found),
        view=row.get("view", ""),
        laterality=row.get("laterality", ""),
        attributes=row,
        fault=fault,
    )


def _modality(row: Row, options: Options) -> str:
    stated = options.modality or row.get("modality", "")
    if not stated:
        return of_view(row.get("view", "")) or "chest_xray"
    expect(stated)
    return stated


def _inside(path: str) -> PurePosixPath:
    """A relative path that stays in its folder; a manifest comes from elsewhere and may name any file."""
    relative = PurePosixPath(path.replace("\\", "/"))
    if not path or relative.is_absolute() or ".." in relative.parts:
        raise UserError(f"path {path!r} in a manifest: expected one inside the folder, relative to it")
    return relative
