"""Many calls at once in processes of their own: one that hangs or dies costs its own item and nothing else."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

Item = TypeVar("Item")
Result = TypeVar("Result")
Ask = Callable[[Iterable[Item]], Callable[[], Iterator[Result]]]


def available() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def workers(
    call: Callable[[Item], Result], count: int, limit_s: float, failed: Callable[[str], Result]
) -> Iterator[Ask[Item, Result]]:
    """A way to ask for many calls at once: `ask(items)` starts them, and what it returns gives their results in order.

    Args:
        count: processes; 0: none, the calls run here when their results are asked for, without any protection.
        limit_s: seconds after which a call is given up.
        failed: makes the result of a call that hung or died, given the reason.
    """
    if count == 0:
        yield lambda items: lambda: map(call, items)
        return
    # spawned, not forked: the caller may have threads (Prefect's), whose locks a fork would copy
    with ProcessPool(max_workers=count, context=get_context("spawn")) as pool:
        try:
            yield lambda items: _asked(pool, call, items, limit_s, failed)
        except BaseException:
            pool.stop()
            raise


def _asked(
    pool: ProcessPool,
    call: Callable[[Item], Result],
    items: Iterable[Item],
    limit_s: float,
    failed: Callable[[str], Result],
) -> Callable[[], Iterator[Result]]:
    started = pool.map(call, items, timeout=limit_s)
    return lambda: _results(iter(started.result()), limit_s, failed)


def _results(answers: Iterator[Result], limit_s: float, failed: Callable[[str], Result]) -> Iterator[Result]:
    while True:
        try:
            yield next(answers)
        except StopIteration:
            return
        except TimeoutError:
            yield failed(f"hangs: gave no result within {limit_s:.0f} s")
        except ProcessExpired as error:
            yield failed(f"crashes its decoder: the process ended with exit code {error.exitcode}")
