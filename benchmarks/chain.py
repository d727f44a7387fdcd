"""The whole chain on the phantom sites as `make demo` runs it after installing: wall seconds and peak memory.

    python -m benchmarks.chain

It works on a clone of the last commit in a temporary folder, so that nothing is there from before.
"""

import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.process import measured
from flows.served import server_for

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Print one line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "mtmed"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        start = time.perf_counter()
        with server_for() as environment:
            _, memory = measured(folder, {**environment, "PYTHONPATH": str(folder)}, "dvc", "repro")
        print(f"seconds {time.perf_counter() - start:.0f}, peak memory {memory:.0f} MB")


if __name__ == "__main__":
    main()
