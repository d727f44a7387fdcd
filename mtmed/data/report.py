"""The data report of a site: one self-contained page that stays at the site, for it shows pixels."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from mtmed.data.store import Shard, StoredStudy, studies
from mtmed.data.summary import MEASURED, Summary
from mtmed.types import Array, HeadSpec, Study

SHOWN, TWINS, LISTED = 24, 12, 500  # studies on the sheet, pairs with pictures, lines of a table
OUTLINES, BOX = ((255, 152, 56), (82, 208, 128), (232, 96, 200)), (64, 196, 255)


def render(
    summary: Summary,
    about: Mapping[str, str],
    shards: Sequence[Shard],
    heads: Mapping[str, HeadSpec],
    refused: Sequence[tuple[str, ...]],
    flags: Sequence[tuple[str, ...]],
    twins: Sequence[Sequence[StoredStudy]],
) -> str:
    """The page as HTML: counts, a contact sheet with outlines of masks and boxes, quarantine and flags.

    Args:
        about: {name: line} of the source.
        refused: (study, reason, PNG in base64 or empty).
        flags: (study, kind, what).
        twins: pairs of studies that look the same.
    """
    environment = Environment(loader=PackageLoader("mtmed.data", "."), autoescape=True, trim_blocks=True)
    return environment.get_template("report.html.j2").render(
        summary=summary,
        about=about,
        lacking=[split for split, count in summary.splits.items() if not count],
        measured={name for name, spec in heads.items() if spec.kind == MEASURED},
        figures=[_figure(study, _caption(study, heads)) for study in _varied(shards, summary.studies)],
        refused=refused,
        pictured=[entry for entry in refused if entry[2]][:SHOWN],
        flags=flags,
        flagged=[_figure(study, kind) for study, kind in _flagged(shards, flags)],
        twins=[[_figure(study, study.patient) for study in pair] for pair in twins[:TWINS]],
        listed=LISTED,
    )


def _varied(shards: Sequence[Shard], count: int) -> Iterable[StoredStudy]:
    """At most SHOWN studies, spread evenly over the site."""
    wanted = set(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int).tolist())
    return (study for index, study in enumerate(studies(shards)) if index in wanted)


def _flagged(shards: Sequence[Shard], flags: Sequence[tuple[str, ...]]) -> list[tuple[StoredStudy, str]]:
    """The first SHOWN studies that are flagged for what one sees in them alone."""
    kinds = dict(islice(((study, kind) for study, kind, _ in flags if kind != "near-duplicate"), SHOWN))
    return [(study, kinds[study.study]) for study in studies(shards) if study.study in kinds] if kinds else []


def _figure(study: Study, caption: str) -> dict[str, str]:
    return {"source": _thumbnail(study), "study": study.study, "split": study.split, "caption": caption}


def _caption(study: Study, heads: Mapping[str, HeadSpec]) -> str:
    """What the labels say: positive classes and measurements, and how many heads say something."""
    said = [spec for spec in heads.values() if study.knows(spec.name)]
    found = dict.fromkeys(text for spec in said for text in _said(study, spec))
    served = sum(study.modality in spec.modalities for spec in heads.values())
    return f"{', '.join(found) or 'nothing found'} · {len(said)} of {served} labels" if said else "not labelled"


def _said(study: Study, spec: HeadSpec) -> list[str]:
    known = study.labelled[spec.name]
    if spec.name in study.masks:
        shown: Any = study.masks[spec.name].any(axis=(1, 2))
    elif spec.name in study.boxes:
        shown = np.isin(np.arange(len(known)), study.boxes[spec.name][1])
    else:
        shown = study.values[spec.name]
    if spec.kind == MEASURED:
        return [f"{name} {value:.0f}" for name, value, ok in zip(spec.classes, shown, known, strict=True) if ok]
    return [name for name, value, ok in zip(spec.classes, shown, known, strict=True) if ok and value > 0]


def _thumbnail(study: Study) -> str:
    """The image with its masks outlined and its boxes, as a data URI."""
    grey = (np.clip(study.image, 0, 1) * 255).astype(np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=2)
    for outline, (_, mask) in zip(cycle(OUTLINES), sorted(study.masks.items()), strict=False):
        colour[_edge(np.any(mask, axis=0))] = outline
    picture = Image.fromarray(colour)
    pen = ImageDraw.Draw(picture)
    for xyxy, _ in study.boxes.values():
        for box in xyxy:
            pen.rectangle([float(v) for v in box], outline=BOX)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _edge(mask: Array) -> Array:
    return np.logical_and(mask, ~binary_erosion(mask))
