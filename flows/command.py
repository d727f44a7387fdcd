"""How a stage is called from the command line: options of the flow, and errors of one line."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import typer

from mtmed.errors import UserError


def command(flow: Callable[..., Any]) -> None:
    """Run a flow whose parameters become options; a user's mistake is one line and exit status 2."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(_synchronous(flow))
    app()


def _synchronous(flow: Callable[..., Any]) -> Callable[..., None]:
    from functools import wraps

    @wraps(getattr(flow, "fn", flow))
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            asyncio.run(flow(*args, **kwargs))
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None

    return run
