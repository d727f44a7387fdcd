"""How a stage is called from the command line: a flow's parameters as options."""

import asyncio
from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from flows.mistakes import keep_log_short, one_line
from mtmed.config import load


def command(flow: Callable[..., Any], check: Callable[[str], object] = load) -> None:
    """Run a flow whose parameters become options; a user's mistake is one line and exit status 2.

    Args:
        flow: has a parameter `params`, the path of the configuration.
        check: raises a `UserError` if that configuration is wrong; called before the flow starts.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(_synchronous(flow, check))
    app()


def _synchronous(flow: Callable[..., Any], check: Callable[[str], object]) -> Callable[..., None]:
    @wraps(getattr(flow, "fn", flow))
    def run(*args: Any, **kwargs: Any) -> None:
        with one_line():
            check(kwargs["params"])
            keep_log_short()
            asyncio.run(flow(*args, **kwargs))

    return run
