"""Any folder of images with a manifest: a CSV with one row per image.

Columns: `image` (relative to the manifest) and `patient_id`; as far as the site has them, `modality` or
`view`, and the columns that heads read (mtmed/data/rules says which, or `heads` below).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from mtmed.data.conditions import Condition, holds
from mtmed.data.mapping import default_rule, parse
from mtmed.data.quality import BadStudy
from mtmed.data.raw import Labels, RawStudy, by_head
from mtmed.data.rules._base import Rule
from mtmed.data.table import Row, read_table
from mtmed.datasets._base import Card, Need
from mtmed.errors import UserError, unknown
from mtmed.modalities import expect, of_view
from mtmed.registry import names
from mtmed.types import HeadSpec

REQUIRED = ("image", "patient_id")

CARD = Card(
    title="A folder and a CSV",
    modality="any",
    terms={
        "columns": ("lesion_mask", "lung_mask", "opacity_mask", "lesion_boxes", "label", "or any others by a mapping")
    },
    needs=(
        Need(
            "manifest.csv",
            "a row per image: image, patient_id, and the labels there are; options.manifest names others",
        ),
    ),
    columns=("those of the CSV",),
    patients="by the column patient_id",
    page="docs/mapping.md: a format of this project's own",
    licence="that of whoever owns the folder",
    citation="that of whoever owns the folder",
    defects=("what its owners know of it",),
    tried="chest films and mini-MIAS mammograms converted from their originals",
)


# what a folder may be labelled for by the usual columns, where nobody says more (mtmed/data/rules)
HEADS = {
    "lesion_segmentation": {
        "kind": "segmentation",
        "classes": ["lesion"],
        "modalities": list(names("mtmed.modalities")),
    },
    "lung_segmentation": {"kind": "segmentation", "classes": ["lung"], "modalities": ["chest_xray"]},
    "opacity_segmentation": {"kind": "segmentation", "classes": ["opacity"], "modalities": ["chest_xray"]},
    "lesion_detection": {"kind": "detection", "classes": ["lesion"], "modalities": list(names("mtmed.modalities"))},
    "malignancy": {"kind": "classification", "classes": ["malignant"], "modalities": ["mammography", "ultrasound"]},
    "pneumonia": {"kind": "classification", "classes": ["pneumonia"], "modalities": ["chest_xray"]},
}


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
        UserError: a manifest, a column or an option is not as expected, or `manifest` leads out of `raw`.
    """
    names = [options.manifest] if isinstance(options.manifest, str) else options.manifest
    tables = {name: read_table(raw / _inside(name), REQUIRED) for name in names}
    columns = {name: set(rows.columns) for name, rows in tables.items()}
    rules = _written_rules(options, heads, set().union(*columns.values()))
    _expect_modality(options, columns)
    seen: set[str] = set()
    for name, rows in tables.items():
        defaults = {h: default_rule(spec, columns[name]) for h, spec in heads.items()}
        known = {**defaults, **rules}
        for number, row in enumerate(rows, 2):
            if holds(options.where, row):
                study = _study(raw, PurePosixPath(name).parent, row, options, heads, known)
                if not study.fault and study.study in seen:  # said without its name, which may be a patient's
                    raise UserError(f"{name}, row {number}: its image is listed twice; expected one row per image")
                seen.add(study.study)
                yield study


def _expect_modality(options: Options, columns: Mapping[str, set[str]]) -> None:
    silent = [name for name, found in columns.items() if not found & {"modality", "view"}]
    if silent and not options.modality:
        raise UserError(f"{silent[0]} has no column modality or view: add one, or say options.modality for all rows")


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
    found: dict[str, Labels] = {}
    fault = "" if row["patient_id"] else "no patient_id: it cannot be kept on one side of the split"
    try:
        modality = _modality(row, options)
        image = folder / _inside(row["image"])
    except BadStudy as error:
        return RawStudy(row["image"], row["patient_id"], "", raw, fault=str(error))
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
        study=str(image),
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
    if stated not in names("mtmed.modalities"):  # not quoted: reasons leave in reports
        raise BadStudy(f"modality not understood: expected one of {', '.join(names('mtmed.modalities'))}")
    return stated


def _inside(path: str) -> PurePosixPath:
    """A relative path that stays in its folder; a manifest comes from elsewhere and may name any file."""
    if not path:
        raise BadStudy("no path: expected one relative to the manifest")
    relative = PurePosixPath(path.replace("\\", "/"))
    if relative.is_absolute() or ".." in relative.parts:
        raise BadStudy("path that leads out: expected one inside the manifest's folder, relative to it")
    return relative
