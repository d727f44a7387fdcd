"""The report, from what the stages before it left."""

from prefect import flow, task

from flows.command import command
from mtmed.config import load
from tasks.write_report import write_report


@flow(name="report")
async def report(
    params: str = "params.yaml",
    model: str = "models/federation",
    calibrated: str = "models/calibrated",
    results: str = "reports/evaluation",
    out: str = "reports/index.html",
) -> str:
    """Write the report; where it lies."""
    return str(task(write_report)(load(params), model, calibrated, results, out))


if __name__ == "__main__":
    command(report)
