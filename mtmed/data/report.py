"""The data report of a site: one self-contained page that stays at the site, for it shows pixels."""

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
from jinja2 import Environment, PackageLoader
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from mtmed.data.summary import Summary, positives
from mtmed.types import Array, HeadSpec, Study

SHOWN = 24
OUTLINE, BOX = (255, 152, 56), (64, 196, 255)


def render(
    summary: Summary,
    studies: Sequence[Study],
    heads: Mapping[str, HeadSpec],
    quarantine: Sequence[tuple[str, str]],
) -> str:
    """The page as HTML: counts, a contact sheet with outlines of masks and boxes, and the quarantine list."""
    environment = Environment(loader=PackageLoader("mtmed.data", "."), autoescape=True, trim_blocks=True)
    figures = [
        {
            "source": _thumbnail(study),
            "study": study.study,
            "split": study.split,
            "caption": _caption(study, heads),
        }
        for study in _varied(studies)
    ]
    template = environment.get_template("report.html.j2")
    return template.render(summary=summary, figures=figures, quarantine=quarantine)


def _varied(studies: Sequence[Study]) -> list[Study]:
    """At most SHOWN studies, spread evenly over the site."""
    if len(studies) <= SHOWN:
        return list(studies)
    return [studies[i] for i in np.linspace(0, len(studies) - 1, SHOWN).round().astype(int)]


def _caption(study: Study, heads: Mapping[str, HeadSpec]) -> str:
    """What the labels say: positive classes by name, and how many heads say nothing."""
    said = [spec for spec in heads.values() if spec.name in study.labelled]
    found = {c for s in said for c, yes in zip(s.classes, positives(study, s), strict=True) if yes}
    return f"{', '.join(sorted(found)) or 'nothing found'} · {len(said)} labels"


def _thumbnail(study: Study) -> str:
    """The image with its masks outlined and its boxes, as a data URI."""
    grey = (np.clip(study.image, 0, 1) * 255).astype(np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=2)
    for mask in study.masks.values():
        colour[_edge(np.any(mask, axis=0))] = OUTLINE
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
