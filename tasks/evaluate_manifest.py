"""A model and a manifest on disk -> its metrics on every image that the manifest labels."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mtmed.data.raw import RawStudy
from mtmed.data.store import write_text
from mtmed.datasets import manifest as reader
from mtmed.errors import UserError, unknown
from mtmed.evaluation import raw_studies
from mtmed.types import Architecture
from mtmed.validation import one_line
from tasks.open_model import open_model

Say = Callable[[str], None]
Result = dict[str, Any]


def evaluate_manifest(
    model: str, manifest: Path, out: Path, mapping: Path | None, store: str | None, warn: Say
) -> Result:
    """Write `{head: {metric: value, "images": n, "patients": n}, "quarantined": n}` to `out`, and return it.

    All rows count: there is no split. A head that no row labels is absent, and so is an undefined metric.
    Dice and boxes are compared at each image's own size, with the mask as it was drawn.

    Args:
        manifest: a CSV file with one row per image, or the folder of a manifest.csv.
        mapping: a YAML file with `where`, `modality` and `heads`, as docs/mapping.md describes.
        warn: is told of progress, and of each row that cannot be used.

    Raises:
        UserError: model, manifest or mapping are not as expected, or no row is labelled for any head.
    """
    _expect_writable(out)
    path = manifest / "manifest.csv" if manifest.is_dir() else manifest
    options = _options(mapping, path.name)
    net, _ = open_model(model, store)
    studies = _studies(path, options, net.architecture)
    evidence = raw_studies.observe_raw(net, studies, lambda done, total: warn(f"{done} of {total} images"))
    for study, reason in evidence.quarantine:
        warn(f"quarantined: {study}: {reason}")
    if not evidence.observed:
        raise UserError(f"{path}: no labelled row can be used; all {len(evidence.quarantine)} are in quarantine")
    heads = {name: asdict(found) for name, found in raw_studies.evaluate(net, evidence).items()}
    result: Result = {
        name: {**found["metrics"], "images": found["images"], "patients": found["patients"]}
        for name, found in heads.items()
    }
    result["quarantined"] = len(evidence.quarantine)
    write_text(out, json.dumps(result, indent=2) + "\n")
    return result


def _expect_writable(out: Path) -> None:
    """Before the work, not after it."""
    if out.is_dir():
        raise UserError(f"--json {out} is a folder: expected a file name")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("a"):
            pass
    except OSError as error:
        raise UserError(f"--json {out} cannot be written: {error.strerror}") from error
    if not out.stat().st_size:
        out.unlink()


def _studies(path: Path, options: reader.Options, architecture: Architecture) -> list[RawStudy]:
    """All studies of the manifest, read before any image is: its mistakes are told at once."""
    found = list(reader.studies(path.parent, options, {h.name: h for h in architecture.heads}))
    if not any(known.any() for study in found for known in study.labelled.values()):
        heads = ", ".join(f"{h.name} ({', '.join(h.modalities)})" for h in architecture.heads)
        raise UserError(
            f"{path}: none of {len(found)} rows is labelled for any head of the model: {heads}; say with "
            "--mapping which columns hold the labels"
        )
    return found


def _options(mapping: Path | None, manifest: str) -> reader.Options:
    raw = {} if mapping is None else _read(mapping)
    known = [key for key in reader.Options.model_fields if key != "manifest"]
    for key in raw:
        if key not in known:
            raise UserError(f"{mapping}: {unknown('key', str(key), known)}")
    try:
        return reader.Options.model_validate({**raw, "manifest": manifest})
    except ValidationError as error:
        raise UserError(f"{mapping}: {one_line(error, reader.Options)}") from error


def _read(mapping: Path) -> dict[str, Any]:
    if not mapping.is_file():
        raise UserError(f"no mapping at {mapping}: expected a YAML file, as docs/mapping.md describes")
    try:
        raw = yaml.safe_load(mapping.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{mapping} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise UserError(f"{mapping}: expected the keys where, modality or heads, got {raw!r}"[:200])
    return raw
