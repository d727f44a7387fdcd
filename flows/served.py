"""Run a command beside one Prefect server, so that its flows need not start one each.

    python -m flows.served dvc repro

Every flow can start a server of its own, at about ten seconds each; a chain of many stages is better off with one.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.request import urlopen

START_S = 180


@contextmanager
def server() -> Iterator[str]:
    """A Prefect server on a free port of this machine; its API address. It ends with the block."""
    port = free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}/api"
        _await_health(address, process)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_health(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit("error: the Prefect server ended as it started: try `prefect server start` to see why")
        try:
            with urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"error: the Prefect server did not answer within {START_S} s")


@contextmanager
def server_for() -> Iterator[dict[str, str]]:
    """The environment of commands that use one server: that of PREFECT_API_URL if it is set, or a new one."""
    if os.environ.get("PREFECT_API_URL"):
        yield dict(os.environ)
        return
    with server() as address:
        yield {**os.environ, "PREFECT_API_URL": address}


def main(command: Sequence[str]) -> int:
    """Run the command; its exit status."""
    if not command:
        raise SystemExit("usage: python -m flows.served COMMAND [ARGUMENT ...]")
    with server_for() as environment:
        return subprocess.run(command, env=environment).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
