"""A federation of real site processes is the federation of this machine, bit for bit."""

import json
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from mtmed.checkpoint import load_network
from tests.e2e.conftest import SITES, process, run, tiny, with_weights

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("server")]


@pytest.fixture(scope="module")
def here(prepared: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The federation with all sites on this machine."""
    folder = tmp_path_factory.mktemp("here")
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    with_weights(folder, tiny())
    assert run(folder, environment, "flows.federate").returncode == 0
    return folder


@pytest.fixture(scope="module")
def apart(prepared: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The coordinator's folder, without any data, after a federation with each site in its own process."""
    coordinator = tmp_path_factory.mktemp("coordinator")
    exchange = tmp_path_factory.mktemp("exchange")
    with_weights(coordinator, tiny(dispatch="deployments", exchange=str(exchange), timeout_s=400))
    with ExitStack() as sites:
        for name in SITES:
            folder = tmp_path_factory.mktemp(name)
            shutil.copytree(prepared / "data/prepared" / name, folder / "samples")
            own = {"site": name, "data": "samples", "state": "state", "exchange": str(exchange)}
            (folder / "site.yaml").write_text(yaml.safe_dump(own))
            sites.enter_context(process(folder, environment, "flows.site", "site.yaml"))
        _await_deployments(environment)
        assert run(coordinator, environment, "flows.federate").returncode == 0
        assert run(coordinator, environment, "flows.evaluate").returncode == 0
    return coordinator


def _await_deployments(environment: dict[str, str]) -> None:
    import httpx

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = httpx.post(f"{environment['PREFECT_API_URL']}/deployments/filter", json={}).json()
        if {d["name"] for d in found} >= set(SITES):
            return
        time.sleep(0.5)
    raise AssertionError("the sites did not announce themselves within 120 s")


def test_the_same_model_bit_for_bit(here: Path, apart: Path) -> None:
    one, other = (load_file(f / "models/federation/global.safetensors") for f in (here, apart))
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)


def test_sites_are_told_which_weights_and_not_where_they_are(apart: Path, environment: dict[str, str]) -> None:
    import hashlib

    import httpx

    sha256 = hashlib.sha256((apart / "weights/first.safetensors").read_bytes()).hexdigest()
    assert json.loads((apart / "models/federation/federation.json").read_text())["lineage"]["pretrained"].endswith(
        sha256
    )
    runs = httpx.post(f"{environment['PREFECT_API_URL']}/flow_runs/filter", json={"limit": 200}).json()
    asked = json.dumps([r["parameters"] for r in runs if "job" in r["parameters"]])
    assert sha256 in asked
    assert "first.safetensors" not in asked


def test_the_coordinator_holds_no_data(apart: Path) -> None:
    assert not (apart / "data").exists()
    assert not list(apart.rglob("*.png")), "pictures stay at the sites"


def test_each_site_evaluated_both_models(apart: Path) -> None:
    for site in SITES:
        heads = json.loads((apart / f"reports/evaluation/{site}.json").read_text())["heads"]
        assert {"global", "local"} <= heads.keys()


def test_the_sites_found_temperatures_together(apart: Path) -> None:
    _, model = load_network(apart / "models/calibrated/global.safetensors")
    assert model.temperatures.keys() == {"lesion_segmentation", "malignancy", "pneumonia"}
    table = pd.read_csv(apart / "models/calibrated/temperatures.csv").set_index("head")
    assert table.loc["malignancy", "sites"] > 1
    assert set(table["model"]) == {"global"}, "a site's own temperatures stay there"


@pytest.mark.usefixtures("apart")
def test_nothing_says_where_a_site_keeps_its_data(environment: dict[str, str]) -> None:
    import httpx

    runs = httpx.post(f"{environment['PREFECT_API_URL']}/flow_runs/filter", json={"limit": 200}).json()
    asked = [r["parameters"] for r in runs if "job" in r["parameters"]]
    assert asked
    assert "samples" not in json.dumps(asked)
    assert "data/raw" not in json.dumps(asked)
