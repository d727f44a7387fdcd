"""A site's own process: it serves its own flow, which takes a job and never a command.

`make worker SITE=alder` runs it. Only the site's file says where its data lie.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import typer
from prefect import flow

from flows.mistakes import keep_log_short, one_line

_FILE = "MTMED_SITE_FILE"  # inherited by the processes in which Prefect runs the flow


@flow(name="site", flow_run_name="{work} {job[site]} {job[round]}")
async def site(work: str, job: dict[str, Any]) -> None:
    """Do one piece of work (survey, train, alone, calibrate, evaluate) with the site's own data."""
    from tasks import dispatch, jobs
    from tasks.site import from_file

    keep_log_short()
    place = from_file(Path(os.environ[_FILE]))
    await asyncio.to_thread(dispatch.do, work, place, jobs.accept(job, place.site))


def main(site_file: Path) -> None:
    """Serve the deployment `site/<name>` until the process is stopped."""
    from tasks.site import from_file

    with one_line():
        place = from_file(site_file)
        place.digest()
    os.environ[_FILE] = str(site_file.resolve())
    site.serve(name=place.site, pause_on_shutdown=False, print_starting_message=True)


if __name__ == "__main__":
    typer.run(main)
