"""One site's data: a synthetic hospital is written, and raw studies are prepared."""

import asyncio
from typing import Any

from prefect import flow, task

from mtmed.config import load
from tasks.prepare_site import prepare_site, write_phantom


@flow(name="phantom", flow_run_name="phantom {site}")
async def phantom(site: str, params: str = "params.yaml") -> str:
    """Write the synthetic hospital SITE to data/raw/SITE; where it lies."""
    return await _write(site, params)


@flow(name="prepare", flow_run_name="prepare {site}")
async def prepare(site: str, params: str = "params.yaml") -> dict[str, Any]:
    """Prepare the raw studies of SITE in data/prepared/SITE; the summary."""
    return await _prepare(site, params)


@task(name="write phantom", task_run_name="write {site}")
async def _write(site: str, params: str) -> str:
    return await asyncio.to_thread(write_phantom, load(params), site)


@task(name="prepare site", task_run_name="prepare {site}")
async def _prepare(site: str, params: str) -> dict[str, Any]:
    return await asyncio.to_thread(prepare_site, load(params), site)
