"""Raw studies to samples: the broken are set aside with a reason, and what is unknown stays unknown."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mtmed.data import sample, store
from mtmed.data.identity import PUBLIC
from mtmed.data.prepare import Private, prepare
from mtmed.data.split import on_one_side, split_of
from mtmed.errors import UserError

KEY = bytes(32)


def run(configured, raw, out, processes=0, **options):
    private = Private(KEY, out.with_name(f"{out.name} private"))
    return prepare("here", configured(raw, options), raw, out, private, processes, [].append)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def original(out):
    """{pseudonym: the source's own name}"""
    return {row["study"]: row["original_study"] for row in rows(out.with_name(f"{out.name} private") / "names.csv")}


def quarantine(out):
    return {original(out)[row["study"]]: row["reason"] for row in rows(out / "quarantine.csv")}


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
        f"images/{first.name}": "no such file",
        f"images/{second.name}": "wrong modality: expected mammography, but DICOM says CR",
    }


def test_no_image_with_nan_or_infinity_becomes_a_sample(hospital, configured, tmp_path):
    raw = hospital(modality="mammography")
    files = sorted((raw / "images").iterdir())[:4]
    numbers = [
        np.nan,
        np.inf,
        -np.inf,
        np.finfo(np.float32).max,
    ]  # the last is finite, its distance to the least is not
    for file, number in zip(files, numbers, strict=True):
        values = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
        values[:8], values[8:16] = number, -number
        file.unlink()
        Image.fromarray(values).save(file, "TIFF")
    run(configured, raw, tmp_path)
    refused = quarantine(tmp_path)
    assert all(refused[f"images/{file.name}"] == "image with values that are not finite numbers" for file in files[:3])
    assert all(np.isfinite(study.image).all() for study in store.read(tmp_path))


def test_withheld_labels_are_not_negatives(hospital, configured, tmp_path):
    run(configured, hospital(modality="mammography", masks=False, boxes=False), tmp_path)
    for study in store.read(tmp_path):
        assert set(study.labelled) == {"malignancy"}
        assert not study.masks
        assert not study.boxes


def test_ids_are_pseudonyms_and_the_split_is_of_the_patient(hospital, configured, tmp_path):
    raw = hospital(modality="mammography", patients=20)
    out = tmp_path / "out"
    run(configured, raw, out)
    patients = {r["patient"]: r["original_patient"] for r in rows(tmp_path / "out private/names.csv")}
    assert len(patients) == 20
    for study in store.read(out):
        assert split_of(patients[study.patient], configured(raw).split) == study.split


def test_another_key_gives_other_pseudonyms_and_the_same_split(hospital, configured, tmp_path):
    raw = hospital(modality="mammography")
    for name, key in (("a", KEY), ("b", PUBLIC)):
        prepare("here", configured(raw), raw, tmp_path / name, Private(key, tmp_path / f"{name}p"), 0, [].append)
    a, b = (store.read(tmp_path / name) for name in "ab")
    assert not {s.study for s in a} & {s.study for s in b}
    assert [s.split for s in a] == [s.split for s in b]


def test_targets_lie_where_the_lesion_is(hospital, configured, tmp_path):
    raw = hospital(modality="mammography", prevalence=1.0, size=96)
    run(configured, raw, tmp_path)
    for study in store.read(tmp_path):
        mask = study.masks["lesion_segmentation"][0]
        inside = np.zeros_like(mask)
        for x1, y1, x2, y2 in study.boxes["lesion_detection"][0]:
            inside[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = True
        assert mask.any()
        assert (mask <= inside).all()
        stated = sample.pixels.read(raw / original(tmp_path)[study.study]).spacing_mm
        assert study.spacing_mm == pytest.approx((stated[0] * 96 / 64, stated[1] * 96 / 64))


def test_files_are_the_same_bytes_every_time_by_one_process_or_several(hospital, configured, tmp_path):
    raw = hospital(modality="chest_xray", broken=1)
    run(configured, raw, tmp_path / "a")
    run(configured, raw, tmp_path / "b", processes=2)
    names = {p.name for p in (tmp_path / "a").iterdir()}
    assert names == {
        "index.json", "quarantine.csv", "flags.csv", "report.html", "samples-00000.safetensors", "summary.json"
    }  # fmt: skip
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_report_is_one_page_without_links(hospital, configured, tmp_path):
    summary = run(configured, hospital(modality="mammography", broken=2), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<figure>") == summary.studies  # a truncated file and one that is no DICOM have no picture
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
        prepare("here", configured(raw), raw / "nowhere", tmp_path, Private(KEY, tmp_path))


def test_the_same_picture_twice_is_used_once_and_a_near_copy_is_flagged(hospital, configured, tmp_path):
    raw = hospital(modality="chest_xray", patients=8)
    table = (raw / "manifest.csv").read_text().splitlines()
    first = table[1].split(",")[0]
    other = next(line for line in table if "-007-0" in line)
    film = sample.pixels.read(raw / first).image
    for name, quality in (("near.jpg", 60), ("nearer.jpg", 90)):
        Image.fromarray((film * 255).astype(np.uint8)).save(raw / "images" / name, quality=quality)
    (raw / "images/again.dcm").write_bytes((raw / first).read_bytes())
    copies = [other.replace(other.split(",")[0], f"images/{name}") for name in ("again.dcm", "near.jpg", "nearer.jpg")]
    copies = [",".join("" if "masks/" in cell else cell for cell in copy.split(",")) for copy in copies]
    (raw / "manifest.csv").write_text("\n".join([*table, *copies]) + "\n")
    out = tmp_path / "out"
    summary = run(configured, raw, out)
    (again,) = quarantine(out).values()
    assert again.startswith("duplicate: the same picture as ")
    assert original(out)[again.split()[-1]] == first
    near, nearer = rows(out / "flags.csv")  # once each, however many are alike
    assert (original(out)[near["study"]], near["kind"]) == ("images/near.jpg", "near-duplicate")
    assert "of another patient" in near["what"]
    assert original(out)[nearer["study"]] == "images/nearer.jpg"
    assert nearer["what"].endswith("; like 1 more")
    assert summary.flagged == {"near-duplicate": 2}
    assert (out / "report.html").read_text().count('<div class="pair">') == 2


def test_a_patient_in_two_official_splits_stays_in_one(hospital, configured):
    from mtmed.datasets import manifest

    raw = hospital(modality="mammography", patients=9)
    config = configured(raw)
    studies = list(manifest.studies(raw, manifest.Options(), config.heads))
    splits = ["train", "test", "validation"]
    mixed = [replace(s, patient="both" if n < 4 else s.patient, split=splits[n % 3]) for n, s in enumerate(studies)]
    kept = list(on_one_side(lambda: iter(mixed)))
    assert [s.fault.split(":")[0] for s in kept[:4]] == ["patient in two splits", "", *["patient in two splits"] * 2]
    sides = {}
    for study in kept:
        if not study.fault:
            assert sides.setdefault(study.patient, study.split) == study.split
            assert split_of(study.patient, config.split, study.split) in (study.split, "validation")


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
