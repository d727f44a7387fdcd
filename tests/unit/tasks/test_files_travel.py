"""The exchange: whole files or none, on a disk and in a store that is no disk."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from mtmed.errors import UserError
from tasks.exchange import Exchange


@pytest.fixture(params=["folder", "memory"])
def exchange(request, tmp_path):
    return Exchange(str(tmp_path / "x") if request.param == "folder" else f"memory://{uuid4().hex}")


def everything(exchange):
    return sorted(p.removeprefix(exchange.root + "/") for p in exchange.files.find(exchange.root))


def test_what_is_put_is_there(exchange):
    assert not exchange.exists("run/a.bin")
    assert exchange.put("run/round-000/a.bin", b"\0\1") == 2
    assert exchange.exists("run/round-000/a.bin")
    assert exchange.get("run/round-000/a.bin") == b"\0\1"


def test_no_part_is_left(exchange):
    for _ in range(2):
        exchange.put("run/a.bin", b"x" * 1000)
    assert everything(exchange) == ["run/a.bin"]


def test_putting_again_replaces(exchange):
    exchange.put("a", b"long before")
    exchange.put("a", b"now")
    assert exchange.get("a") == b"now"


def test_a_write_that_fails_leaves_the_file_that_was_there(exchange, monkeypatch):
    exchange.put("run/a.bin", b"before")
    monkeypatch.setattr(type(exchange.files), "mv", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        exchange.put("run/a.bin", b"after")
    assert exchange.get("run/a.bin") == b"before"


def test_a_reader_sees_a_whole_file_at_any_time(tmp_path):
    exchange = Exchange(str(tmp_path))
    contents = [bytes([n]) * 200_000 for n in (1, 2)]
    exchange.put("a", contents[0])
    with ThreadPoolExecutor(2) as pool:
        writer = pool.submit(lambda: [exchange.put("a", contents[n % 2]) for n in range(30)])
        seen = [exchange.get("a") for _ in range(30)]
        writer.result()
    assert all(s in contents for s in seen)


def test_removing_takes_all_below_and_what_is_not_there(exchange):
    exchange.put("run/a/b", b"")
    exchange.put("other", b"")
    exchange.remove("run")
    exchange.remove("run")
    assert everything(exchange) == ["other"]


def test_what_was_never_put_is_one_line(exchange):
    with pytest.raises(UserError, match=r"has no run/a\.bin: was it cleaned during a run"):
        exchange.get("run/a.bin")


@pytest.mark.parametrize("key", ["../x", "run/../../x", "/etc/x", ".."])
@pytest.mark.parametrize("work", ["put", "get", "exists", "remove"])
def test_no_key_leaves_the_exchange(exchange, key, work):
    with pytest.raises(UserError, match="leaves it"):
        getattr(exchange, work)(key, *([b""] if work == "put" else []))


def test_a_key_as_a_file_and_under_another_name(exchange):
    exchange.put("run/a.bin", b"abc")
    with exchange.as_file("run/a.bin") as path:
        assert path.read_bytes() == b"abc"
    exchange.move("run/a.bin", "run/refused/b.bin")
    assert everything(exchange) == ["run/refused/b.bin"]
    with pytest.raises(UserError, match=r"has no run/a\.bin"), exchange.as_file("run/a.bin"):
        pass
