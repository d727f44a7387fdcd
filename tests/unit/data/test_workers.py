"""Work in other processes: results in order, and one item that hangs or dies costs no other."""

import os
import time

import pytest

from mtmed.data.workers import workers


def work(item: int) -> str:
    if item == 3:
        os._exit(7)
    if item == 5:
        time.sleep(60)
    return f"done {item}"


def run(items, count):
    with workers(work, count, 2.0, lambda reason: reason) as ask:
        first, second = ask(items[:4]), ask(items[4:])
        return [*first(), *second()]


def test_an_item_that_hangs_or_dies_is_told_and_the_others_go_on():
    results = run([0, 1, 2, 3, 4, 5, 6, 7], 2)
    assert [results[n] for n in (0, 1, 2, 4, 6, 7)] == [f"done {n}" for n in (0, 1, 2, 4, 6, 7)]
    assert results[3] == "crashes its decoder: the process ended with exit code 7"
    assert results[5] == "hangs: gave no result within 2 s"


def test_without_processes_everything_happens_here():
    with workers(lambda item: (item, os.getpid()), 0, 1.0, str) as ask:
        assert list(ask([1, 2])()) == [(1, os.getpid()), (2, os.getpid())]


def test_an_error_of_the_caller_ends_the_processes():
    started = time.monotonic()
    with pytest.raises(KeyError):
        _fail_while_one_hangs()
    assert time.monotonic() - started < 20


def _fail_while_one_hangs():
    with workers(work, 2, 60.0, str) as ask:
        ask([5])
        raise KeyError
