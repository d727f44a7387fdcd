"""The command `mtmed`: a trained model on a user's own images, and whether everything is in place.

What is heavy (torch, timm, MLflow) is imported by the command that needs it: `mtmed --help` answers at once.
"""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_data, cli_models
from mtmed import __version__

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True)


def main() -> None:
    """The console script."""
    app(prog_name="mtmed")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mtmed {__version__}")
        raise typer.Exit


@app.callback()
def _mtmed(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Multi-task medical image models, trained by many hospitals that share no image.

    The chain itself (data, federation, evaluation, report) is `make demo` or `dvc repro`; these are the
    commands for a model that exists, and for data before the chain. A mistake is one line on stderr and exit
    status 2.
    """


def doctor(
    params: Annotated[Path, typer.Option(metavar="FILE", help="The configuration to check.")] = Path("params.yaml"),
) -> None:
    """Check that everything is in place.

    Versions, processor, configuration, servers, data, folders: ok, warn or FAIL, a line each with its remedy.
    Exit status 1 if anything is FAIL. Data that are not there yet are a warning.
    """
    from tasks.check_installation import check_installation
    from tasks.check_project import check_project

    failed = False
    for checks in (check_installation(), check_project(params)):
        for check in checks:
            print(check, flush=True)
            failed |= check.status == "FAIL"
    if failed:
        raise typer.Exit(1)


for command in (
    cli_models.predict,
    cli_models.export,
    cli_models.evaluate,
    cli_data.unpack,
    cli_data.datasets,
    cli_data.prepare,
    cli_data.partition,
    doctor,
):
    app.command()(command)

if __name__ == "__main__":
    main()
