"""Marks in every text of a site's studies are in no file, log or record that is not private to the site."""

from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import ROOT, run
from tests.planted import MARKS, NAME, write_site

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("leaks")]

PARAMS = {
    "sites": {"elm": {"dataset": "manifest", "raw": "data/raw/elm"}},
    "image": {"size": 64},
    "split": {"folds": 2, "validation": 0.3},
    "heads": {
        "lesion_segmentation": {"kind": "segmentation", "classes": ["lesion"], "modalities": ["mammography"]},
        "malignancy": {"kind": "classification", "classes": ["malignant"], "modalities": ["mammography"]},
    },
    "model": {"encoder": "test_convnext", "channels": 8},
    "training": {"epochs": 1, "batch_size": 8, "fisher_images": 8},
    "federation": {"rounds": 1},
    "evaluation": {"references": ["local", "threshold"], "replicates": 10},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    write_site(folder / "data/raw/elm")
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    return folder


def holders(folder: Path, excepted: tuple[str, ...] = ()) -> set[str]:
    """The files below a folder that hold a mark, in their bytes or in their own name."""
    wanted = [mark.lower().encode() for mark in MARKS] + [NAME.lower().encode("utf-16-le")]
    found = set()
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith(excepted):
            data = name.lower().encode() + path.read_bytes().lower()
            found |= {name for mark in wanted if mark in data}
    return found


@pytest.fixture(scope="module")
def said(site, environment):
    """All that the chain says, after it wrote what it writes."""
    output = ""
    for command in (("flows.prepare", "site", "elm"), ("flows.federate",), ("flows.evaluate",), ("flows.report",)):
        done = run(site, {**environment, "PYTHONPATH": str(ROOT)}, *command)
        assert done.returncode == 0
        output += done.stdout + done.stderr
    return output


def test_nothing_that_is_written_or_said_names_anybody(site, said, environment):
    assert not [mark for mark in MARKS if mark.lower() in said.lower()]
    assert holders(site, ("data/raw/", "private/")) == set()
    assert holders(Path(environment["PREFECT_HOME"])) == set()
    for name in (
        "data/prepared/elm/report.html",
        "mlflow.db",
        "models/federation/global.safetensors",
        "models/calibrated/global.safetensors",
        "reports/index.html",
    ):
        assert (site / name).is_file()
    assert list((site / ".mtmed/exchange").rglob("*elm*"))


@pytest.mark.usefixtures("said")
def test_the_marks_are_there_to_be_found(site):
    """Otherwise the test above could not fail."""
    assert len(holders(site / "data/raw")) > 20
    assert holders(site / "private/elm") == {"names.csv"}


@pytest.mark.usefixtures("said")
def test_what_is_tracked_has_tables_and_no_pictures(site):
    pictures = {path.name for path in (site / "reports/evaluation/overlays").rglob("*.png")}
    assert pictures, "otherwise nothing could have gone there"
    kept = {path.name for path in site.rglob("*") if path.is_file() and "figures" in path.parts}
    assert kept == {"elm.json", "metrics.json", "sites.csv", "rounds.csv"}
