"""Whether a configuration can run here: the model, the servers, the data, the folders."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mtmed.config import Config, load
from mtmed.errors import UserError
from mtmed.models import multitask
from tasks.check import FAIL, OK, WARN, Check, attempt
from tasks.open_model import missing_store
from tasks.prepare_site import PREPARED, has_raw_studies

FOLDERS = ("data", "models", "reports", ".mtmed")
Counts = dict[str, dict[str, dict[str, int]]]  # {head: {class: {labelled, positive}}}


def check_project(params: Path) -> Iterator[Check]:
    """Everything that the configuration names; only the first line where it is wrong."""
    try:
        config = load(params)
    except UserError as error:
        yield Check(FAIL, "params", str(error))
        return
    yield Check(OK, "params", f"{params}: {len(config.sites)} sites, heads {', '.join(config.heads)}")
    yield attempt("model", lambda: _model(config))
    yield _store(config.tracking.uri)
    yield _prefect()
    yield from _data(config)
    yield from (_writable(Path(folder)) for folder in FOLDERS)


def _model(config: Config) -> str:
    net = multitask.build(config.architecture)
    size = sum(p.numel() for p in net.parameters()) / 1e6
    return f"{config.model.encoder} gives features at {config.image.size} pixels; {size:.1f} million parameters"


def _store(uri: str) -> Check:
    missing = missing_store(uri)
    if missing:
        return Check(WARN, "mlflow store", f"none yet at {missing}", "the first federation makes it")
    from tasks.tracking import reachable

    return attempt(
        "mlflow store",
        lambda: f"{uri} has {reachable(uri)}",
        "start the server, or mend tracking.uri in params.yaml",
    )


def _prefect() -> Check:
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if not url:
        return Check(OK, "prefect api", "in-process server (PREFECT_API_URL is not set)")
    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    if error is None:
        return Check(OK, "prefect api", f"{url} answers")
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return Check(FAIL, "prefect api", f"{url} does not answer: {reason}", "make prefect, or unset PREFECT_API_URL")


def _data(config: Config) -> Iterator[Check]:
    """Raw and prepared studies of each site, and whether each head is labelled somewhere."""
    prepared: list[Counts] = []
    for site in config.sites:
        yield _raw(config, site)
        try:
            summary = _summary(site)
        except (OSError, ValueError, KeyError, TypeError):
            yield Check(FAIL, f"{site} prepared", "summary.json is damaged", f"dvc repro -f prepare@{site}")
            continue
        yield _prepared(config, site, summary)
        prepared += [summary["heads"]] if summary else []
    whole = len(prepared) == len(config.sites)
    yield from (_labels(name, prepared, whole) for name in config.heads)


def _raw(config: Config, site: str) -> Check:
    raw = Path(config.sites[site].raw)
    if has_raw_studies(config, site):
        return Check(OK, f"{site} raw", str(raw))
    remedy = f"dvc repro phantom@{site}" if site in config.phantom else f"put them there, or mend sites.{site}.raw"
    return Check(WARN, f"{site} raw", f"no studies at {raw}", remedy)


def _summary(site: str) -> dict[str, Any] | None:
    path = PREPARED / site / "summary.json"
    if not path.is_file():
        return None
    summary: dict[str, Any] = json.loads(path.read_text())
    return {key: summary[key] for key in ("studies", "patients", "heads", "quarantined")}


def _prepared(config: Config, site: str, summary: dict[str, Any] | None) -> Check:
    if summary is None:
        return Check(WARN, f"{site} prepared", "not yet", f"dvc repro prepare@{site}")
    if set(summary["heads"]) != set(config.heads):
        return Check(WARN, f"{site} prepared", "with other heads than params.yaml has", f"dvc repro prepare@{site}")
    counts = ", ".join(f"{head} {n}" for head in config.heads if (n := _labelled(summary["heads"], head)))
    refused = sum(summary["quarantined"].values())
    studies = f"{summary['studies']} studies of {summary['patients']} patients, {refused} in quarantine"
    return Check(OK, f"{site} prepared", f"{studies}; labelled: {counts or 'none'}")


def _labelled(counts: Counts, head: str) -> int:
    """Studies that are labelled for some class of the head (for the class with most)."""
    return max((c["labelled"] for c in counts.get(head, {}).values()), default=0)


def _labels(head: str, prepared: list[Counts], whole: bool) -> Check:
    sites = sum(_labelled(counts, head) > 0 for counts in prepared)
    if sites:
        return Check(OK, f"head {head}", f"labelled at {sites} of {len(prepared)} prepared sites")
    if not whole:
        return Check(WARN, f"head {head}", "labelled at no site so far", "prepare the other sites: dvc repro")
    return Check(FAIL, f"head {head}", "no site labels it", "remove it from heads, or map a column to it")


def _writable(folder: Path) -> Check:
    """The folder, or the one in which it will be made."""
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Check(OK, f"folder {folder}", "writable" if existing == folder.absolute() else "will be made")
    return Check(FAIL, f"folder {folder}", f"{existing} cannot be written to", "change its owner or its rights")
