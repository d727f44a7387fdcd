"""A command as the benchmarks run it: its output, and the memory of all its processes."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil


def measured(folder: Path, environment: dict[str, str], *command: str) -> tuple[str, float]:
    """The output of a command, and the peak memory in MB (resident, what is shared counted once).

    The memory is that of all processes that the benchmark started: Prefect's server is one of them.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(child, peak))
    watcher.start()
    output, _ = child.communicate()
    watcher.join()
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return output, peak[0]


def _watch(child: "subprocess.Popen[str]", peak: list[float]) -> None:
    while child.poll() is None:
        try:
            family = psutil.Process().children(recursive=True)
            peak[0] = max(peak[0], sum(p.memory_full_info().pss for p in family) / 1e6)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass
        time.sleep(0.25)
