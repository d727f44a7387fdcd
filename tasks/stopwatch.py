"""When each stage of a piece of work ran, on the clock of the machine it ran on."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

Span = tuple[str, float, float]


class Stopwatch:
    """Spans (stage, begin, end) in seconds since the epoch."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block as a part of `stage`."""
        begin = time.time()
        try:
            yield
        finally:
            self.spans.append((stage, begin, time.time()))


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The seconds in which at least one of the spans (begin, end) ran.

    >>> covered([(0, 2), (1, 3), (5, 6)])
    4.0
    """
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
