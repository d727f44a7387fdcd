"""A mistake in params.yaml ends the chain here, before any stage runs. No flow: it is done before Prefect starts."""

import typer

from flows.mistakes import one_line
from tasks.check_params import check_params


def check(params: str = "params.yaml", mark: str = ".mtmed/checked") -> None:
    """Check the configuration, its network and its sites; every other stage waits for the file `mark`."""
    with one_line():
        check_params(params, mark)


if __name__ == "__main__":
    typer.run(check)
