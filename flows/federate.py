"""The federation: rounds of local training at every site, and aggregation."""

import asyncio
from typing import Any

from prefect import flow

from flows.beside import beside
from flows.command import command
from mtmed.config import load
from tasks import federation, tracking
from tasks.check_params import trainable
from tasks.dispatch import at_site, slots
from tasks.initial_model import settled
from tasks.jobs import Job


@flow(name="federate", log_prints=True)
async def federate(params: str = "params.yaml", out: str = "models/federation") -> str:
    """Train one model with all sites; where the model lies."""
    config = settled(load(params))
    free = slots(config)
    surveys = ask("survey", federation.jobs(config, "surveys"), free)
    sites, _ = await asyncio.gather(surveys, asyncio.to_thread(tracking.open_store, config))
    run = federation.open_run(config, sites)
    with tracking.Tracker(config, run.key, sites, run.exchange) as tracker:
        async with beside() as start:
            await start(tracker.catch_up, list(run.records))
            for round in range(run.rounds_done, config.federation.rounds):
                turns = federation.turns(run, config, round)
                for jobs in turns:
                    turns.take(await ask("train", jobs, free))
                record = federation.aggregate_round(run, config, round, turns)
                federation.close_round(run, config, record)
                await start(tracker.log_round, record)
    return str(federation.publish(run, config, out, tracker.spans))


async def ask(work: str, jobs: list[Job], free: asyncio.Semaphore) -> list[dict[str, Any]]:
    """All sites at the same time, as far as they are free; their answers in the order of the jobs."""
    return list(await asyncio.gather(*(at_site(work, job, free) for job in jobs)))


if __name__ == "__main__":
    command(federate, trainable)
