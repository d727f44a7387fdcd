"""The report: what the stages left -> one page."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mtmed.config import Config
from mtmed.evaluation.report import Lineage, Overlay, Report, SiteFacts, render
from tasks import evaluation


def write_report(config: Config, model: str, calibrated: str, results: str, out: str) -> Path:
    """Render `out` from the outs of `federate` and `evaluate`."""
    folder = Path(model)
    facts = json.loads((folder / "federation.json").read_text())
    tables = {n: pd.read_csv(folder / f"{n}.csv") for n in ("rounds", "contributions", "refused", "bytes", "seconds")}
    report = Report(
        title="MTMed federation",
        strategy=facts["strategy"],
        lineage=_lineage(facts, config),
        sites=[_site(s) for s in facts["sites"]],
        heads=list(config.heads.values()),
        primary=evaluation.by_kind(config),
        evaluations=evaluation.read(Path(results)),
        rounds=tables["rounds"],
        contributions=tables["contributions"],
        refused=tables["refused"],
        traffic=tables["bytes"],
        seconds=tables["seconds"],
        temperatures=pd.read_csv(Path(calibrated) / "temperatures.csv"),
        overlays=_overlays(Path(results) / "overlays"),
    )
    render(report, Path(out))
    return Path(out)


def _lineage(facts: dict[str, Any], config: Config) -> Lineage:
    more = {"Encoder": config.model.encoder, "Differential privacy": "none", "Secure aggregation": "none"}
    origin = facts["lineage"]
    return Lineage(
        facts["run"],
        origin["config"],
        origin["code"],
        facts["seed"],
        facts["rounds"],
        facts["parameters"],
        more,
    )


def _site(facts: dict[str, Any]) -> SiteFacts:
    return SiteFacts(
        name=facts["site"],
        modalities=facts["modalities"],
        studies=facts["studies"],
        labelled=facts["labelled"],
        quarantined=facts["quarantined"],
        data_hash=facts["digest"],
    )


def _overlays(folder: Path) -> Sequence[Overlay]:
    out = []
    for captions in sorted(folder.glob("*/captions.json")):
        for entry in json.loads(captions.read_text()):
            png = (captions.parent / entry["file"]).read_bytes()
            out.append(Overlay(captions.parent.name, entry["head"], entry["rank"], entry["caption"], png))
    return out
