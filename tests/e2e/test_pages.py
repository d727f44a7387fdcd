"""What people see, in a real browser: the report, and MLflow's pages on the store of a federation."""

import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from flows.served import free_port
from tests.e2e.conftest import SITES, process

pytestmark = [pytest.mark.server, pytest.mark.browser, pytest.mark.xdist_group("pipeline")]
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1400,3000",
]


def browse(chromium: str, profile: Path, address: str, *what: str) -> str:
    """What the browser prints of a page after it has settled."""
    command = [chromium, *QUIET, f"--user-data-dir={profile}", "--virtual-time-budget=20000", *what, address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


def test_the_report_shows_pictures_offline(project: Path, chromium: str, tmp_path: Path) -> None:
    picture = tmp_path / "report.png"
    address = (project / "reports/index.html").as_uri()
    page = browse(chromium, tmp_path / "profile", address, f"--screenshot={picture}", "--dump-dom")
    assert picture.stat().st_size > 50_000, "an empty page compresses to less"
    assert all(site in page for site in SITES)


def test_mlflow_shows_the_federation(project: Path, chromium: str, environment: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    quiet = {**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = ("mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    with process(project, quiet, *command, "--backend-store-uri", "sqlite:///mlflow.db"):
        _await(f"http://127.0.0.1:{port}/health")
        page = browse(chromium, tmp_path / "p", f"http://127.0.0.1:{port}/#/experiments/1/runs", "--dump-dom")
    assert "bayes-" in page


def _await(address: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"{address} did not answer within 120 s")
