"""The evaluation: every site tests the global model and its own; references only where all data are here."""

import asyncio

from prefect import flow

from flows.command import command
from flows.federate import ask
from mtmed.config import load
from tasks import evaluation, federation
from tasks.dispatch import pool, slots


@flow(name="evaluate")
async def evaluate(
    params: str = "params.yaml", model: str = "models/federation", out: str = "reports/evaluation"
) -> str:
    """Evaluate a federation at all of its sites; the folder with the results."""
    run = evaluation.published(model)
    config = evaluation.as_trained(load(params), run)
    wanted, free = config.evaluation.references, slots(config)
    pooled = pool(run.key, config, free) if "pooled" in wanted else None
    alone = ask("alone", federation.reference_jobs(config, run.key), free) if "local" in wanted else None
    await asyncio.gather(*(work for work in (pooled, alone) if work is not None))
    jobs = federation.jobs(config, run.key, run.rounds, evaluation.models(config, run))
    answers = await ask("evaluate", jobs, free)
    return str(evaluation.publish(config, run, answers, out))


if __name__ == "__main__":
    command(evaluate)
