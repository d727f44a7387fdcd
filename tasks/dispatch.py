"""The same work on this machine or at the sites' own processes; the flows do not know which."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import torch
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import task_run
from prefect.states import Cancelling
from prefect.tasks import Task

from mtmed.config import Config
from mtmed.errors import UserError, unknown
from tasks.calibrate_site import calibrate_site
from tasks.evaluate_site import evaluate_site
from tasks.exchange import Exchange
from tasks.jobs import Job, answer_key, pooled_key
from tasks.site import Place, on_this_machine
from tasks.survey_site import survey_site
from tasks.train_alone import reference_key, train_alone, train_pooled
from tasks.train_site import train_site

WORK: dict[str, Callable[[Place, Job], dict[str, Any]]] = {
    "survey": survey_site,
    "train": train_site,
    "alone": train_alone,
    "calibrate": calibrate_site,
    "evaluate": evaluate_site,
}
_POLL_S = 0.5


def do(work: str, place: Place, job: Job) -> dict[str, Any]:
    """Do one piece of work at a site and leave the answer in the exchange."""
    if work not in WORK:
        raise unknown("work", work, WORK)
    torch.set_num_threads(1)  # one or two threads give different weights; sites run side by side instead
    answer = WORK[work](place, job)
    place.exchange.put(answer_key(work, job), json.dumps(answer).encode())
    return answer


def slots(config: Config) -> asyncio.Semaphore:
    """How many sites work at a time on this machine; sites of their own are not held back."""
    local = config.federation.dispatch == "local"
    return asyncio.Semaphore(config.federation.concurrency if local else len(config.sites))


def _server_failed(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether Prefect's server, and not the site, failed: on sqlite it answers 503 while another one writes."""
    error = state.data
    busy = isinstance(error, httpx.HTTPStatusError) and error.response.status_code >= 500
    return busy or isinstance(error, httpx.TransportError)


@task(
    task_run_name="{work} {job.site}",
    cache_policy=NO_CACHE,
    retries=5,
    retry_delay_seconds=5,
    retry_jitter_factor=1,
    retry_condition_fn=_server_failed,
)
async def at_site(work: str, job: Job, slots: asyncio.Semaphore) -> dict[str, Any]:
    """The site's answer, wherever the site is."""
    config = job.parsed()
    async with slots:
        if config.federation.dispatch == "local":
            return await asyncio.to_thread(do, work, on_this_machine(config, job.site), job)
        return await _at_deployment(work, job, config)


@task(task_run_name="train pooled", cache_policy=NO_CACHE)
async def pool(run: str, config: Config, slots: asyncio.Semaphore) -> None:
    """Train the pooled reference on this machine, and put it where the sites' evaluations find it."""
    places = [on_this_machine(config, site) for site in sorted(config.sites)]
    path = Path(".mtmed/pooled") / f"{reference_key(config, places)}.safetensors"
    async with slots:
        torch.set_num_threads(1)
        await asyncio.to_thread(train_pooled, config, places, path)
    Exchange(config.federation.exchange).put(pooled_key(run), path.read_bytes())


async def _at_deployment(work: str, job: Job, config: Config) -> dict[str, Any]:
    """Ask the site's own process (`make worker SITE=...`) through Prefect, and read its answer."""
    exchange = Exchange(config.federation.exchange)
    name = f"site/{job.site}"
    asked = {"work": work, "job": job.as_parameters()}
    try:
        # the key lets a retry of this task join the run that it asked for before
        run = await arun_deployment(
            name, parameters=asked, timeout=0, as_subflow=False, idempotency_key=str(task_run.id)
        )
    except ObjectNotFound as error:
        raise UserError(
            f"site {job.site!r} serves no deployment {name!r}: start it with `make worker SITE={job.site}`"
        ) from error
    try:
        await asyncio.wait_for(_until_done(run.id, job.site), config.federation.timeout_s)
    except TimeoutError as error:
        await _cancel(run.id)
        raise UserError(
            f"site {job.site!r} did not end its work, {work}, in {config.federation.timeout_s:g} s: see whether its "
            "process still runs, or raise federation.timeout_s; rounds that are done are kept"
        ) from error
    return dict(json.loads(exchange.get(answer_key(work, job))))


async def _cancel(run_id: Any) -> None:
    """Else the site would go on beside the run that asks again."""
    async with get_client() as client:
        await client.set_flow_run_state(run_id, Cancelling(), force=True)


async def _until_done(run_id: Any, site: str) -> None:
    async with get_client() as client:
        while True:
            state = (await client.read_flow_run(run_id)).state
            if state is not None and state.is_final():
                break
            await asyncio.sleep(_POLL_S)
    if not state.is_completed():
        raise UserError(f"site {site!r} ended its work as {state.name}: {state.message}")
