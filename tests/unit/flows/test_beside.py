"""Work beside a flow: in order, one at a time, and no error of it is lost."""

import asyncio
import threading

import pytest

from flows.beside import beside


def played(*, pieces=(), block=None):
    """Start the pieces, then raise `block`, if any."""

    async def flow():
        async with beside() as start:
            for piece in pieces:
                await start(piece)
            if block is not None:
                raise block

    asyncio.run(flow())


def failing():
    raise ZeroDivisionError


def test_pieces_run_in_order_and_never_together():
    seen, busy = [], threading.Lock()

    def piece(name):
        def work():
            assert busy.acquire(blocking=False)
            seen.append(name)
            busy.release()

        return work

    played(pieces=[piece(n) for n in range(20)])
    assert seen == list(range(20))


def test_the_flow_goes_on_meanwhile():
    gate, seen = threading.Event(), []

    async def flow():
        async with beside() as start:
            await start(lambda: (gate.wait(10), seen.append("work")))
            seen.append("flow")
            gate.set()
        seen.append("end")

    asyncio.run(flow())
    assert seen == ["flow", "work", "end"]


@pytest.mark.parametrize("pieces", [[failing], [failing, lambda: None]])
def test_an_error_of_a_piece_ends_the_flow(pieces):
    with pytest.raises(ZeroDivisionError):
        played(pieces=pieces)


@pytest.mark.filterwarnings("error")
def test_the_flows_own_error_comes_after_the_last_piece_ended():
    ended = []
    with pytest.raises(KeyError):
        played(pieces=[lambda: ended.append(1)], block=KeyError())
    assert ended == [1]
    with pytest.raises(KeyError):
        played(pieces=[failing], block=KeyError())
    played()
