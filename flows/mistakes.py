"""How a user's mistake is told: one line on stderr, and one in Prefect's log."""

import errno
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from mtmed.errors import UserError

# of the system, to a user
REFUSALS = {getattr(errno, name) for name in ("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "ENOTDIR", "EFBIG")}


@contextmanager
def one_line() -> Iterator[None]:
    """A user's mistake, or a disk that is full or closed to the user, is one line on stderr and exit status 2."""
    try:
        yield
    except UserError as error:
        _end(str(error))
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        _end(f"{error.filename or 'the disk'}: {error.strerror}")


def warn(prefix: str) -> Callable[[str], None]:
    """Tells on stderr what a user should know, one line each, after `prefix`."""
    return lambda text: print(f"{prefix}{' '.join(text.split())}", file=sys.stderr, flush=True)


def _end(message: str) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    raise SystemExit(2) from None


def keep_log_short() -> None:
    """Prefect logs a failed run with its traceback; a user's mistake needs none, its message says it all."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], UserError):
        record.exc_info = None
    return True
