"""How a stage is called from the command line: options of the flow, and errors of one line."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import typer

from mtmed.config import load
from mtmed.errors import UserError


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


@contextmanager
def one_line() -> Iterator[None]:
    """A user's mistake is one line on stderr and exit status 2."""
    try:
        yield
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None


def keep_log_short() -> None:
    """Prefect logs a failed run with its traceback; a user's mistake needs none, its message says it all."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], UserError):
        record.exc_info = None
    return True
