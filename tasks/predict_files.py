"""Images on disk -> what a model says of each, as files in one folder."""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mtmed.errors import UserError
from mtmed.evaluation import prediction_picture
from mtmed.evaluation.uncertainty import entropy
from mtmed.inference import THRESHOLD, Prediction, predict_file, serving
from mtmed.types import Array
from tasks.open_model import open_model

Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """One image, its name in the output folder, and the hash of its bytes."""

    image: Path
    name: str
    sha256: str


def predict_files(
    model: str,
    images: Sequence[Path],
    out: Path,
    modality: str | None,
    store: str | None,
    say: Say,
    warn: Say,
    uncertainty: bool = False,
) -> int:
    """Write `<name>.json`, a mask per class and an overlay of each image to `out`; how many images failed.

    A name is the image's stem, or `<stem>-2` and so on where another image has it: in this run, or in the
    results of an earlier one. The same image again replaces its own results.

    Args:
        say: is told of each image that was done.
        warn: is told of each image that could not be used, and why.
        uncertainty: whether to write beside each mask the predictive entropy of its pixels.

    Raises:
        UserError: the model or the output folder cannot be used, or the model does not serve `modality`.
    """
    net, known = open_model(model, store)
    if modality:
        serving(net.architecture, modality)
    origin = {"address": model, "round": known.round, "lineage": dict(known.lineage)}
    origin["temperatures"] = dict(known.temperatures)
    _make_folder(out)
    taken: set[str] = set()
    failed = 0
    for image in images:
        try:
            job = _job(image, out, taken)
            _write(predict_file(net, image, modality), job, out, origin, uncertainty)
            say(f"{image} -> {out / job.name}.json")
        except UserError as error:
            warn(f"{image}: {error}")
            failed += 1
    return failed


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out} cannot be made: {error.strerror}; expected a folder, or none yet") from error
    if not os.access(out, os.W_OK):
        raise UserError(f"--out {out} cannot be written to")


def _job(image: Path, out: Path, taken: set[str]) -> Job:
    if image.is_dir():
        raise UserError("is a folder: name the images in it")
    if not image.is_file():
        raise UserError("no such file")
    try:
        with image.open("rb") as file:
            sha256 = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from error
    number, name = 1, image.stem
    # some file systems do not tell A from a
    while name.casefold() in taken or _written(out / f"{name}.json") not in (None, sha256):
        number += 1
        name = f"{image.stem}-{number}"
    taken.add(name.casefold())
    return Job(image, name, sha256)


def _written(path: Path) -> str | None:
    """The hash of the image whose results lie there; None where none do."""
    if not path.exists():
        return None
    try:
        return str(json.loads(path.read_text())["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return "of another program"


def _write(prediction: Prediction, job: Job, out: Path, origin: dict[str, Any], uncertainty: bool) -> None:
    """The masks and the overlay first: where the JSON file is, all is."""
    said = prediction.as_dict()
    for head, finding in prediction.findings.items():
        files = _mask_files(f"{job.name}.{head}", finding.masks)
        maps = {name: file.removesuffix("png") + "entropy.png" for name, file in files.items()}
        for name, values in finding.masks.items():
            _replace(out / files[name], _save_mask(values))
            (out / maps[name]).unlink(missing_ok=True)  # an earlier run's, perhaps of another model
            if uncertainty:
                _replace(out / maps[name], _save_entropy(values))
        if files:
            said["heads"][head]["masks"] = files
            said["heads"][head] |= {"entropy": maps} if uncertainty else {}
    overlay = f"{job.name}.overlay.png"
    _replace(out / overlay, lambda path: path.write_bytes(prediction_picture.draw(prediction)))
    record = {"image": str(job.image), "sha256": job.sha256, **said, "overlay": overlay, "model": origin}
    text = json.dumps(record, indent=2) + "\n"
    _replace(out / f"{job.name}.json", lambda path: path.write_text(text, encoding="utf-8"))


def _mask_files(stem: str, masks: dict[str, Array]) -> dict[str, str]:
    """{class: file name}; a class may be called anything, a file may not."""
    safe = [re.sub(r"[^\w-]+", "_", name) for name in masks]
    if len({s.casefold() for s in safe}) < len(safe):
        safe = [f"{number}_{s}" for number, s in enumerate(safe)]
    return {name: f"{stem}.{s}.png" for name, s in zip(masks, safe, strict=True)}


def _save_mask(probability: Array) -> Callable[[Path], object]:
    mask = np.where(probability > THRESHOLD, 255, 0).astype(np.uint8)
    return lambda path: Image.fromarray(mask).save(path, format="PNG")


def _save_entropy(probability: Array) -> Callable[[Path], object]:
    """In grey: 0 where the model is sure, 255 where it says 0.5."""
    grey = np.round(255 * entropy(probability)).astype(np.uint8)
    return lambda path: Image.fromarray(grey).save(path, format="PNG")


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Whole or not at all; a link that lies there is replaced, not followed."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        write(part)
        part.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
