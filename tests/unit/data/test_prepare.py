"""Raw studies to samples: the broken are set aside with a reason, and what is unknown stays unknown."""

import csv
import json

import numpy as np
import pytest

from mtmed.data import store
from mtmed.data.prepare import prepare, pseudonym
from mtmed.data.split import split_of
from mtmed.errors import UserError

SILENT = [].append


def run(configured, raw, out, **options):
    return prepare("here", configured(raw, options), raw, out, SILENT)


def quarantine(out):
    with (out / "quarantine.csv").open() as file:
        return {row["study"]: row["reason"] for row in csv.DictReader(file)}


def test_the_broken_are_quarantined_and_the_rest_goes_on(hospital, configured, tmp_path):
    raw = hospital(modality="mammography", broken=5)
    summary = run(configured, raw, tmp_path)
    reasons = [reason.split(":")[0] for reason in quarantine(tmp_path).values()]
    ways = ["truncated", "not DICOM", "mask of another size", "blank image", "box outside the image"]
    assert reasons == ways
    assert summary.quarantined == dict.fromkeys(sorted(reasons), 1)
    assert summary.patients == 6
    assert len(store.read(tmp_path)) == summary.studies >= 6


def test_a_missing_file_and_a_wrong_modality(hospital, configured, tmp_path):
    raw = hospital(modality="chest_xray")
    first, second = sorted((raw / "images").iterdir())[:2]
    first.unlink()
    text = (raw / "manifest.csv").read_text().splitlines()
    text = [s.replace("chest_xray", "mammography") if second.name in s else s for s in text]
    (raw / "manifest.csv").write_text("\n".join(text) + "\n")
    run(configured, raw, tmp_path)
    assert quarantine(tmp_path) == {
        f"images/{first.name}": f"no file {first.name}",
        f"images/{second.name}": "wrong modality: expected mammography, but DICOM says CR",
    }


def test_withheld_labels_are_not_negatives(hospital, configured, tmp_path):
    run(configured, hospital(modality="mammography", masks=False, boxes=False), tmp_path)
    for study in store.read(tmp_path):
        assert set(study.labelled) == {"malignancy"}
        assert not study.masks
        assert not study.boxes


def test_ids_are_pseudonyms_and_the_split_is_of_the_patient(hospital, configured, tmp_path):
    raw = hospital(modality="mammography", patients=20)
    config = configured(raw)
    prepare("here", config, raw, tmp_path, SILENT)
    with (raw / "manifest.csv").open() as file:
        patients = {pseudonym("here", row["patient_id"]): row["patient_id"] for row in csv.DictReader(file)}
    for study in store.read(tmp_path):
        assert split_of(patients[study.patient], config.split) == study.split
    stored = (tmp_path / "index.json").read_text()
    assert not any(original in stored for original in patients.values())
    assert pseudonym("here", "p") != pseudonym("there", "p")


def test_targets_lie_where_the_lesion_is(hospital, configured, tmp_path):
    run(configured, hospital(modality="mammography", prevalence=1.0), tmp_path)
    for study in store.read(tmp_path):
        mask = study.masks["lesion_segmentation"][0]
        inside = np.zeros_like(mask)
        for x1, y1, x2, y2 in study.boxes["lesion_detection"][0]:
            inside[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = True
        assert mask.any()
        assert (mask <= inside).all()
        assert study.spacing_mm == (3.75, 3.75)


def test_files_are_the_same_bytes_every_time(hospital, configured, tmp_path):
    raw = hospital(modality="chest_xray", broken=1)
    run(configured, raw, tmp_path / "a")
    run(configured, raw, tmp_path / "b")
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == ["index.json", "quarantine.csv", "report.html", "samples.safetensors", "summary.json"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_report_is_one_page_without_links(hospital, configured, tmp_path):
    summary = run(configured, hospital(modality="mammography", broken=2), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<figure>") == summary.studies
    assert "truncated: expected" in page
    assert "http" not in page.replace("http-equiv", "")
    assert json.loads((tmp_path / "summary.json").read_text()) == summary.as_dict()


def test_nothing_that_can_be_used(hospital, configured, tmp_path):
    raw = hospital(modality="mammography", classes=False, masks=False, boxes=False)
    with pytest.raises(UserError, match="no study is labelled for any head"):
        run(configured, raw, tmp_path)
    for path in (raw / "images").iterdir():
        path.write_text("")
    with pytest.raises(UserError, match="no study can be used; the first of"):
        run(configured, raw, tmp_path)
    with pytest.raises(UserError, match="expected a folder at"):
        prepare("here", configured(raw), raw / "nowhere", tmp_path)


@pytest.mark.parametrize("folder", ["mammo_mias", "cxr_opacity_ncsa"])
def test_real_studies(real, configured, tmp_path, folder):
    few = {"where": {"abnormality": ["CIRC", "SPIC"]}} if folder == "mammo_mias" else {}
    run(configured, real / folder, tmp_path, **few)
    assert quarantine(tmp_path) == {}


def test_a_real_lesion_without_a_place_is_unknown(real, configured, tmp_path):
    run(configured, real / "mammo_mias", tmp_path, where={"location_complete": [False]})
    studies = store.read(tmp_path)
    assert len(studies) == 3
    assert all(set(s.labelled) == {"malignancy"} for s in studies)
