"""How a user's mistake is told: one line on stderr, and one in Prefect's log."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mtmed.errors import UserError


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
