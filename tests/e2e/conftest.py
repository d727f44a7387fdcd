"""Real servers and real processes, on loopback, ended by their own handles."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from flows.served import server

ROOT = Path(__file__).parents[2]
KEPT = (
    "flows",
    "tasks",
    "mtmed",
    "experiments",
    "parts",
    "weights",
    "dvc.yaml",
    "pyproject.toml",
    ".dvc",
    ".dvcignore",
    ".gitignore",
    "prefect.yaml",
)
SITES = ("alder", "birch", "cedar", "dogwood", "elm")
TINY = {
    "image": {"size": 64},
    "model": {"encoder": "pvt_v2_b0", "channels": 16},
    "training": {"epochs": 1, "batch_size": 8, "fisher_images": 8, "fisher_micro_batch": 4},
    "evaluation": {"references": ["local", "threshold"], "replicates": 20, "overlays": True},
}


def tiny(**changes: Any) -> dict[str, Any]:
    """The project's own params.yaml with small sites, a small network and two rounds."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name in SITES:
        params["phantom"][name] |= {"patients": 15, "size": 96}
    for section, values in TINY.items():
        params[section] |= values
    params["federation"] |= {"rounds": 2, **changes}
    params["strategies"]["bayes"] |= {"chain": 3}  # in turn, and side by side
    return params


def with_weights(folder: Path, params: dict[str, Any]) -> None:
    """params.yaml in a coordinator's folder, with pretrained weights that no site has."""
    import timm
    from safetensors.torch import save_file

    params["model"] |= {"pretrained": "weights/first.safetensors"}
    (folder / "weights").mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        save_file(timm.create_model(params["model"]["encoder"]).state_dict(), folder / "weights/first.safetensors")
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of commands beside one Prefect server with a database of its own."""
    home = str(tmp_path_factory.mktemp("prefect"))
    os.environ["PREFECT_HOME"] = home
    with server() as address:
        yield {
            **os.environ,
            "PREFECT_HOME": home,
            "PREFECT_API_URL": address,
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "OMP_NUM_THREADS": "1",
        }


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with params.yaml and the prepared data of all four sites."""
    from mtmed import config
    from mtmed.data.identity import PUBLIC
    from mtmed.data.prepare import Private, prepare
    from mtmed.phantoms import write

    folder = tmp_path_factory.mktemp("prepared")
    (folder / "params.yaml").write_text(yaml.safe_dump(tiny()))
    parsed = config.load(folder / "params.yaml")
    for site in SITES:
        raw, out = folder / "data/raw" / site, folder / "data/prepared" / site
        write(parsed.phantom[site], raw)
        prepare(site, parsed, raw, out, Private(PUBLIC, folder / "private" / site), 0, lambda _: None)
    return folder


def run(folder: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """A command of the project in a folder; its output is shown when it fails."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True)
    print(done.stdout[-4000:], done.stderr[-4000:])
    return done


@contextmanager
def process(folder: Path, environment: dict[str, str], *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, which ends with the block."""
    log = (folder / f"{command[0]}.log").open("wb")
    child = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        log.close()


@pytest.fixture(scope="session")
def project(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder under git with small sites, after `dvc repro`."""
    folder = tmp_path_factory.mktemp("project")
    for name in KEPT:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "cache", "tmp", "real-*")
            )
        else:
            shutil.copyfile(ROOT / name, folder / name)
    params = tiny()
    params["evaluation"]["references"] = ["local", "pooled", "threshold", "ensemble"]
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    assert dvc(folder, environment, "repro").returncode == 0
    return folder


def dvc(folder: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """A DVC command in a folder, with this project's code in front."""
    return run(folder, {**environment, "PYTHONPATH": str(folder)}, "dvc", *command)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's command; where CI lacks it, that is a failure, elsewhere a visible skip."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.environ.get("CI"):
        pytest.fail("no chromium: .ci/run installs it")
    if found is None:
        pytest.skip("no chromium on this machine")
    return found
