"""The pipeline as a deployment: `dvc repro` from outside, so that there is one chain and not two."""

import asyncio
import sys

from prefect import flow

from flows.mistakes import keep_log_short
from mtmed.errors import UserError


@flow(name="pipeline", log_prints=True)
async def pipeline(target: str = "") -> None:
    """Reproduce the whole chain, or one target of it (a stage, or a dvc.yaml), in the working directory.

    Raises:
        UserError: a stage failed; its output is above, in the log of this run.
    """
    keep_log_short()
    command = [sys.executable, "-m", "dvc", "repro", *([target] if target else [])]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    async for line in process.stdout:
        print(line.decode(errors="replace").rstrip())
    if await process.wait():
        raise UserError(f"`dvc repro {target}` failed: its last lines above say which stage and why")
