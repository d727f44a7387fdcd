"""The evaluation: one temperature per head, then every site tests the global model and its own.

References that need all data in one place are made only where all data are here.
"""

import asyncio

from prefect import flow

from flows.command import command
from flows.federate import ask
from mtmed.config import load
from tasks import evaluation, federation
from tasks.calibrate import calibrate
from tasks.dispatch import pool, slots


@flow(name="evaluate")
async def evaluate(
    params: str = "params.yaml",
    model: str = "models/federation",
    calibrated: str = "models/calibrated",
    out: str = "reports/evaluation",
) -> str:
    """Calibrate a federation's model and evaluate it at all of its sites; the folder with the results."""
    run = evaluation.published(model)
    config = evaluation.as_trained(load(params), run)
    wanted, free = config.evaluation.references, slots(config)
    pooled = pool(run.key, config, free) if "pooled" in wanted else None
    own = {"local", "ensemble"} & set(wanted)
    alone = ask("alone", federation.reference_jobs(config, run.key), free) if own else None
    await asyncio.gather(*(work for work in (pooled, alone) if work is not None))
    models = evaluation.models(config, run)
    curves = await ask("calibrate", federation.jobs(config, run.key, run.rounds, models), free) if models else []
    models = calibrate(config, run.key, models, curves, calibrated)
    answers = await ask("evaluate", federation.jobs(config, run.key, run.rounds, models), free)
    return str(evaluation.publish(config, run, answers, calibrated, out))


if __name__ == "__main__":
    command(evaluate)
