"""A site that meets NaN: one line for the user, with real servers; only the site itself names the studies."""

import json
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import yaml

from mtmed.data import store
from mtmed.registry import names
from tests import damaged, tiny
from tests.e2e.conftest import process, run

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("stopped")]

SITE, MARK = "larch", "planted-study"  # a site that no other test of the same server has
SAID = f"site '{SITE}', round 1: the loss of head 'lesion_width' at step "


def params(**federation):
    heads = {
        h.name: {"kind": h.kind, "classes": [*h.classes], "modalities": [*names("mtmed.modalities")]}
        for h in tiny.HEADS
    }
    return {
        "sites": {SITE: {"dataset": "manifest", "raw": "x"}},
        "heads": heads,
        "image": {"size": tiny.SIZE},
        "model": {"encoder": "test_convnext", "channels": 8},
        "training": {"epochs": 1, "batch_size": 2, "fisher_images": 4},
        "federation": {"rounds": 1, "timeout_s": 1000, **federation},
    }


def prepare(folder):
    """Six studies, of which one has a measurement that is no number; the good bytes of the shard."""
    store.write(folder, [replace(s, study=f"{MARK}-{n}") for n, s in enumerate(tiny.studies(6))])
    (folder / "summary.json").write_text(json.dumps({"quarantined": {}}))
    good = (folder / store.shard_name(0)).read_bytes()
    damaged.measurement(folder, 3, "lesion_width")
    return good


def federated(folder, environment):
    done = run(folder, environment, "flows.federate")
    return done.returncode, done.stdout + done.stderr


def expect_one_line(said):
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert SAID in line
    assert "of its own state folder names the studies" in line


def holders(*folders):
    """Files that hold the mark, in bytes or name."""
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path.name for path in found if MARK in path.name or MARK.encode() in path.read_bytes()}


def logged(environment):
    """Everything that Prefect's server knows of runs: their states and their logs."""
    api = environment["PREFECT_API_URL"]
    answers = [httpx.post(f"{api}/{what}/filter", json={"limit": 200}) for what in ("logs", "flow_runs", "task_runs")]
    return "".join(answer.raise_for_status().text for answer in answers)


def test_where_all_sites_are_on_this_machine(environment, tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params()))
    data = tmp_path / "data/prepared" / SITE
    good = prepare(data)
    status, said = federated(tmp_path, environment)
    assert status == 2
    expect_one_line(said)
    assert MARK not in said + logged(environment)
    assert holders(tmp_path, Path(environment["PREFECT_HOME"])) == {store.shard_name(0), "why.json"}
    (told,) = tmp_path.glob(f".mtmed/sites/{SITE}/stopped/*/why.json")
    assert f"{MARK}-3" in json.loads(told.read_text())["studies"]
    (data / store.shard_name(0)).write_bytes(good)
    assert federated(tmp_path, environment)[0] == 0


@contextmanager
def served(folder, environment, exchange):
    own = {"site": SITE, "data": "samples", "state": "state", "exchange": str(exchange)}
    (folder / "site.yaml").write_text(yaml.safe_dump(own))
    with process(folder, environment, "flows.site", "site.yaml"):
        deadline = time.monotonic() + 120
        while f'"{SITE}"' not in httpx.post(f"{environment['PREFECT_API_URL']}/deployments/filter", json={}).text:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield


def test_where_the_site_has_a_process_of_its_own(environment, tmp_path):
    coordinator, site, exchange = (tmp_path / name for name in ("coordinator", "site", "exchange"))
    coordinator.mkdir()
    (coordinator / "params.yaml").write_text(
        yaml.safe_dump(
            params(dispatch="deployments", exchange=str(exchange))
            | {
                "evaluation": {"references": ["local"]},
            }
        )
    )
    good = prepare(site / "samples")
    with served(site, environment, exchange):
        status, said = federated(coordinator, environment)
        assert status == 2
        expect_one_line(said)
        assert f"site '{SITE}' ended its work as Failed" in said
        records = logged(environment)
        assert SAID in records
        assert MARK not in said + records
        assert holders(coordinator, exchange, Path(environment["PREFECT_HOME"])) == set()
        assert holders(site) == {store.shard_name(0), "why.json"}
        (site / "samples" / store.shard_name(0)).write_bytes(good)
        assert federated(coordinator, environment)[0] == 0
        late = params(dispatch="deployments", exchange=str(exchange), timeout_s=0.01, seed=1)
        (coordinator / "params.yaml").write_text(yaml.safe_dump(late | {"evaluation": {"references": ["local"]}}))
        status, said = federated(coordinator, environment)
        assert status == 2
        assert "Traceback" not in said
        assert f"error: site '{SITE}' did not end its work, survey, in 0.01 s: " in said
        assert "raise federation.timeout_s" in said
        (coordinator / "params.yaml").write_text((coordinator / "params.yaml").read_text().replace("0.01", "1000"))
        assert federated(coordinator, environment)[0] == 0
    assert "Traceback" not in (site / "flows.site.log").read_text()
