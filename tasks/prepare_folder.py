"""A folder of a data set -> prepared samples, outside any project: what the stage does, by one command."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtmed.config import Config, parse, sections
from mtmed.data.exam import KINDS
from mtmed.data.identity import own_key
from mtmed.data.prepare import Private, prepare, studies
from mtmed.data.summary import Summary
from mtmed.data.work import UNFINISHED
from mtmed.datasets._base import Card
from mtmed.errors import UserError
from mtmed.registry import find


def prepare_folder(
    dataset: str, raw: Path, out: Path, params: Path | None, options: Mapping[str, Any], processes: int | None
) -> Summary:
    """Prepare the data set in `raw` as a site of its own name, in `out`; what leads back from it goes beside `out`.

    Args:
        params: whose heads, image size and split are taken; None: those of ./params.yaml, or without one a head for
            each thing that the data set says.

    Raises:
        UserError: a mistake in the options, or a folder that is not what the reader expects.
    """
    folder = out.with_name(f"{out.name}-private") if out.name else Path(f"../{Path.cwd().name}-private")
    _expect_own(out, folder, dataset, raw)
    config = configuration(dataset, raw, params, options)
    next(studies(config, dataset, raw), None)  # a mistake is told before anything is written
    return prepare(dataset, config, raw, out, Private(own_key(folder), folder), processes)


def _expect_own(out: Path, private: Path, dataset: str, raw: Path) -> None:
    """Refuse to replace what is not an earlier preparation of the same data set, finished or killed."""
    if out.resolve().is_relative_to(raw.resolve()):
        raise UserError(f"--out {out} lies in --raw {raw}, where nothing is written: expected another folder")
    if not out.exists() or (private / UNFINISHED).is_dir():
        return
    summary = out / "summary.json"
    before = json.loads(summary.read_text()).get("site") if summary.is_file() else None
    if not out.is_dir() or (any(out.iterdir()) and before != dataset):
        held = f"prepared samples of {before}" if before else "something else"
        raise UserError(f"--out {out} holds {held}: expected a new folder, or one of prepared samples of {dataset}")


def configuration(dataset: str, raw: Path, params: Path | None, options: Mapping[str, Any]) -> Config:
    """One site of the name of its data set; heads as `prepare_folder` says."""
    reader = find("mtmed.datasets", dataset, "data set")
    site = {"dataset": dataset, "raw": str(raw), "options": dict(options)}
    if params is None and not Path("params.yaml").is_file():
        return parse({"sites": {dataset: site}, "heads": getattr(reader, "HEADS", None) or heads_of(reader.CARD)})
    file = params or Path("params.yaml")
    given = {name: said for name, said in sections(file).items() if name in ("image", "split", "heads")}
    return parse({**given, "sites": {dataset: site}}, str(file))


def heads_of(card: Card) -> dict[str, dict[str, Any]]:
    """A head for each thing that a data set draws, boxes or names."""
    return {
        term if kind in ("values", "measurements") else f"{term}_{KINDS[kind]}": {
            "kind": KINDS[kind], "classes": [term], "modalities": [card.modality]
        }
        for kind, terms in card.terms.items()
        for term in terms
    }  # fmt: skip
