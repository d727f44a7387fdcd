"""`dvc repro` and what a user does after it, in a copy of the project, with the real tools."""

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import SITES, dvc, run, tiny

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("pipeline")]


def test_nothing_to_do_the_second_time(project: Path, environment: dict[str, str]) -> None:
    assert "up to date" in dvc(project, environment, "repro").stdout


def test_the_broken_studies_are_counted(project: Path) -> None:
    summary = json.loads((project / "data/prepared/alder/summary.json").read_text())
    assert sum(summary["quarantined"].values()) == tiny()["phantom"]["alder"]["broken"]


def test_metrics_name_every_model(project: Path, environment: dict[str, str]) -> None:
    shown = json.loads(dvc(project, environment, "metrics", "show", "--json").stdout)
    numbers = next(iter(shown[""]["data"].values()))["data"] if "" in shown else {}
    assert {"global", "local", "pooled", "threshold"} <= numbers.keys()


def test_a_site_forgets_its_moments_after_the_evaluation(project: Path) -> None:
    assert (project / ".mtmed/sites/alder").is_dir()
    assert not list(project.glob(".mtmed/sites/*/moments/*"))


def test_each_site_has_overlays_in_the_report(project: Path) -> None:
    page = (project / "reports/index.html").read_text()
    assert all(site in page for site in SITES)
    assert "data:image/png;base64" in page
    assert "https://" not in page.replace("https://www.w3.org", "")


def test_the_hash_in_the_lineage_is_dvcs(project: Path) -> None:
    lock = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    facts = json.loads((project / "models/federation/federation.json").read_text())
    for site in facts["sites"]:
        assert site["digest"] == lock[f"prepare@{site['site']}"]["outs"][0]["md5"]


def test_champion_predicts(project: Path, environment: dict[str, str], tmp_path: Path) -> None:
    image = next((project / "data/raw/cedar/images").glob("*.dcm"))
    command = ("flows.cli", "predict", "models:/mtmed@champion", str(image), "--out", str(tmp_path))
    assert run(project, environment, *command).returncode == 0
    said = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert "pneumonia" in said["heads"]
    assert said["model"]["temperatures"].keys() == {"lesion_segmentation", "malignancy", "pneumonia"}


def test_a_change_of_the_evaluation_trains_nothing(project: Path, environment: dict[str, str]) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["evaluation"]["replicates"] = 21
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    output = dvc(project, environment, "repro").stdout
    assert "Running stage 'evaluate'" in output
    assert "Running stage 'federate'" not in output


def test_a_mistake_ends_the_chain_before_anything_runs(project: Path, environment: dict[str, str]) -> None:
    right = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(right.replace("encoder: pvt_v2_b0", "encoder: pvt_v3_b0"))
    try:
        done = dvc(project, environment, "repro")
    finally:
        (project / "params.yaml").write_text(right)
    assert done.returncode != 0
    assert "error: unknown model.encoder 'pvt_v3_b0'" in done.stderr
    assert done.stdout.count("Running stage") == done.stdout.count("Running stage 'check'") == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_a_mistake_that_only_the_sites_can_see_is_one_line(
    prepared: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    params = tiny()
    params["heads"]["oedema"] = {"kind": "classification", "classes": ["oedema"], "modalities": ["chest_xray"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    done = run(tmp_path, environment, "flows.federate")
    assert done.returncode == 2
    assert "error: head 'oedema' is labelled at no site" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_another_strategy_as_an_experiment(project: Path, environment: dict[str, str]) -> None:
    before = json.loads((project / "models/federation/federation.json").read_text())
    done = dvc(project, environment, "exp", "run", "-S", "federation.strategy=fedavg")
    assert done.returncode == 0
    assert "Running stage 'prepare@alder'" not in done.stdout
    after = json.loads((project / "models/federation/federation.json").read_text())
    assert after["strategy"] == "fedavg"
    assert after["run"] != before["run"], "another strategy must not go on from this one's state"


def test_push_and_pull(project: Path, environment: dict[str, str], tmp_path: Path) -> None:
    assert dvc(project, environment, "remote", "add", "-d", "here", str(tmp_path)).returncode == 0
    assert dvc(project, environment, "push").returncode == 0
    sample = project / "data/prepared/alder/samples-00000.safetensors"
    before = sample.read_bytes()
    shutil.rmtree(project / ".dvc/cache")
    sample.unlink()
    assert dvc(project, environment, "pull").returncode == 0
    assert sample.read_bytes() == before


def test_a_killed_federation_resumes_to_the_same_model(
    prepared: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        shutil.copytree(prepared, folder)
        (folder / "params.yaml").write_text(yaml.safe_dump(tiny(rounds=3)))
    assert run(whole, environment, "flows.federate").returncode == 0
    _kill_after_first_round(killed, environment)
    again = run(killed, environment, "flows.federate")
    assert again.returncode == 0
    assert "resuming" in again.stdout + again.stderr
    name = "models/federation/global.safetensors"
    assert (whole / name).read_bytes() == (killed / name).read_bytes()
    assert _rounds_in_mlflow(whole) == _rounds_in_mlflow(killed) == [1, 2, 3]


def _rounds_in_mlflow(folder: Path) -> list[int]:
    """The rounds that the federation's run has metrics of."""
    query = "SELECT DISTINCT step FROM metrics WHERE key = 'bytes/sent' ORDER BY step"
    with closing(sqlite3.connect(folder / "mlflow.db")) as store:
        return [step for (step,) in store.execute(query)]


def _kill_after_first_round(folder: Path, environment: dict[str, str]) -> None:
    import signal
    import sys
    import time

    child = subprocess.Popen(
        [sys.executable, "-m", "flows.federate"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    while not list(folder.glob(".mtmed/exchange/*/round-000/round.json")):
        assert child.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert not (folder / "models/federation").exists()
