"""A site's raw studies -> checked, pseudonymous samples of one size, a quarantine list and a report."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np

from mtmed.config import Config, SplitSpec
from mtmed.data import pixels, report, store
from mtmed.data.geometry import Letterbox, letterbox
from mtmed.data.quality import BadStudy, check_image, check_mask, check_modality, clip_boxes
from mtmed.data.raw import RawStudy
from mtmed.data.split import split_of
from mtmed.data.summary import Summary, summarise
from mtmed.errors import UserError
from mtmed.registry import find
from mtmed.types import Array, Study

EVERY = 50  # studies between two lines of progress


def prepare(name: str, config: Config, raw: Path, out: Path, progress: Callable[[str], None] = print) -> Summary:
    """Read every study of the site `name` under `raw`, and write what can be used of them to `out`.

    A study that cannot be used goes to `out/quarantine.csv` with the reason, and the rest goes on.

    Raises:
        UserError: the data set as a whole is not as expected, or nothing of it can be used.
    """
    site = config.sites[name]
    reader = find("mtmed.datasets", site.dataset, "data set")
    if not raw.is_dir():
        raise UserError(f"no raw studies of site {name!r}: expected a folder at {raw}")
    found = reader.studies(raw, reader.Options.model_validate(site.options), config.heads)
    studies: list[Study] = []
    quarantine: list[tuple[str, str]] = []
    for study in _watched(found, name, quarantine, progress):
        try:
            studies.append(_sample(study, name, config.image.size, config.split))
        except BadStudy as error:
            quarantine.append((study.study, str(error)))
    _expect_labels(name, studies, quarantine)
    summary = summarise(name, studies, config.heads, quarantine)
    store.write(out, studies)
    store.write_text(out / "quarantine.csv", _csv(quarantine))
    store.write_text(out / "summary.json", json.dumps(summary.as_dict(), indent=2) + "\n")
    store.write_text(out / "report.html", report.render(summary, studies, config.heads, quarantine))
    progress(f"{name}: {len(studies)} studies prepared, {len(quarantine)} in quarantine")
    return summary


def pseudonym(site: str, identity: str) -> str:
    """12 hex digits that stand for a study or patient: stable within the site, different at another."""
    return sha256(f"{site}/{identity}".encode()).hexdigest()[:12]


def _watched(
    studies: Iterator[RawStudy], name: str, quarantine: list[tuple[str, str]], progress: Callable[[str], None]
) -> Iterator[RawStudy]:
    for number, study in enumerate(studies, 1):
        yield study
        if number % EVERY == 0:
            progress(f"{name}: {number} studies read, {len(quarantine)} in quarantine")


def read_picture(raw: RawStudy) -> pixels.Picture:
    """The picture of a study, at its own size.

    Raises:
        BadStudy: it cannot be used.
    """
    if raw.fault:
        raise BadStudy(raw.fault)
    picture = pixels.read(raw.image)
    check_modality(raw.modality, picture.modality)
    check_image(picture.image)
    return picture


def _sample(raw: RawStudy, site: str, size: int, split: SplitSpec) -> Study:
    """One study as the network will see it.

    Raises:
        BadStudy: it cannot be used.
    """
    picture = read_picture(raw)
    height, width = picture.image.shape
    box = letterbox(height, width, size)
    return Study(
        study=pseudonym(site, raw.study),
        patient=pseudonym(site, raw.patient),
        modality=raw.modality,
        # by the patient's own name: at two sites a pseudonym differs, the fold must not
        split=split_of(raw.patient, split),
        image=box.image(picture.image),
        masks={head: _mask(load((height, width)), picture.image, box) for head, load in raw.masks.items()},
        boxes=_boxes(raw.boxes, box),
        values=raw.values,
        labelled=raw.labelled,
        spacing_mm=box.spacing(picture.spacing_mm),
    )


def _mask(mask: Array, image: Array, box: Letterbox) -> Array:
    check_mask(mask, image)
    return np.stack([box.mask(plane) for plane in mask])


def _boxes(boxes: Mapping[str, tuple[Array, Array]], box: Letterbox) -> dict[str, tuple[Array, Array]]:
    return {
        head: (box.boxes(clip_boxes(xyxy, box.height, box.width)), classes) for head, (xyxy, classes) in boxes.items()
    }


def _expect_labels(name: str, studies: list[Study], quarantine: list[tuple[str, str]]) -> None:
    if not studies:
        first = (
            f"; the first of {len(quarantine)} refusals: {quarantine[0][0]}: {quarantine[0][1]}" if quarantine else ""
        )
        raise UserError(f"site {name!r}: no study can be used{first}")
    if not any(labelled.any() for study in studies for labelled in study.labelled.values()):
        raise UserError(f"site {name!r}: no study is labelled for any head; see `options.heads` of its data set")


def _csv(quarantine: list[tuple[str, str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("study", "reason"), *quarantine])
    return text.getvalue()
