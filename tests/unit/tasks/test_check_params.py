"""Mistakes are told before anything runs, and what is right leaves a mark that never changes."""

from pathlib import Path

import pytest
import timm
import yaml
from safetensors.torch import save_file

from mtmed.config import load
from mtmed.errors import UserError
from tasks.check_params import check_params, trainable
from tasks.prepare_site import write_phantom

HEAD = {"kind": "classification", "classes": ["malignant"], "modalities": ["mammography"]}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(site=None, **changes):
    raw = {
        "phantom": {"alder": {"modality": "mammography", "patients": 9}},
        "sites": {"alder": {"dataset": "manifest", "raw": "data/raw/alder"}, **(site or {})},
        "heads": {"malignancy": HEAD},
        "image": {"size": 64},
        "model": {"encoder": "test_convnext", "channels": 8},
    }
    Path("params.yaml").write_text(yaml.safe_dump(raw | changes))
    return "params.yaml"


def test_what_can_be_trained_leaves_the_same_mark_for_every_configuration():
    check_params(written(), "state/mark")
    first = Path("state/mark").read_bytes()
    check_params(written(federation={"rounds": 3}), "state/mark")
    assert Path("state/mark").read_bytes() == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"encoder": "test_convnet"}}, "unknown model.encoder 'test_convnet'.*did you mean 'test_convnext"),
        ({"model": {"encoder": "crossvit_tiny_240"}}, "gives no feature maps at image.size 64"),
        ({"federation": {"strategy": "bays"}}, "unknown strategy 'bays'.*did you mean 'bayes'"),
        ({"federation": {"round": 3}}, "did you mean 'federation.rounds'"),
    ],
)
def test_a_mistake_leaves_no_mark(changes, message):
    with pytest.raises(UserError, match=message):
        check_params(written(**changes), "mark")
    assert not Path("mark").exists()
    with pytest.raises(UserError, match=message):
        trainable("params.yaml")


ENCODER = {"encoder": "test_convnext", "channels": 8, "pretrained": "weights/w.safetensors"}


def test_missing_weights_are_told_before_anything_runs(capsys):
    """And at the coordinator only: a site that prepares its data with the same params.yaml has no weights."""
    for check in (trainable, lambda params: check_params(params, "mark")):
        with pytest.raises(UserError, match=r"no weights at weights/w\.safetensors"):
            check(written(model=ENCODER))
    assert not Path("mark").exists()
    check_params(written(model=ENCODER | {"pretrained_missing": "scratch"}), "mark")
    assert "the encoder starts from scratch" in capsys.readouterr().out
    apart = {"federation": {"dispatch": "deployments"}, "evaluation": {"references": ["local"]}}
    check_params(written(model=ENCODER, **apart), "mark")
    with pytest.raises(UserError, match="no weights at"):
        trainable(written(model=ENCODER, **apart))


def test_weights_of_another_encoder_are_told_before_anything_runs():
    Path("weights").mkdir()
    save_file(timm.create_model("test_resnet").state_dict(), "weights/w.safetensors")
    with pytest.raises(UserError, match=r"the weights do not fit model.encoder 'test_convnext' at image.size 64"):
        check_params(written(model=ENCODER | {"pretrained_missing": "scratch"}), "mark")


def test_a_site_needs_raw_studies_unless_they_are_still_to_come(folder):
    elm = {"elm": {"dataset": "manifest", "raw": "raw/elm"}}
    with pytest.raises(UserError, match=r"site 'elm' has no raw studies: .* sites\.elm\.raw, raw/elm; put them there"):
        check_params(written(elm), "mark")
    (folder / "raw/elm").mkdir(parents=True)
    with pytest.raises(UserError, match="site 'elm' has no raw studies"):
        check_params(written(elm), "mark")
    (folder / "raw/elm").rmdir()
    (folder / "raw/elm.dvc").touch()  # `dvc pull` will bring them
    check_params(written(elm), "mark")
    (folder / "raw/elm.dvc").unlink()
    (folder / "raw/elm").mkdir()
    (folder / "raw/elm/manifest.csv").write_text("image,patient_id,modality\n")
    check_params(written(elm), "mark")


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ({"dataset": "rsna_pneumonia"}, "site 'elm': RSNA Pneumonia.*lacks .*; found manifest.csv"),
        ({"dataset": "manifest", "options": {"where": {"scaner": ["A"]}}}, "site 'elm': unknown column 'scaner'"),
        ({"dataset": "manifest", "options": {"manifest": "all.csv"}}, "site 'elm': .*all.csv"),
    ],
)
def test_a_folder_that_is_not_what_the_reader_expects_is_told_before_anything_runs(folder, site, message):
    (folder / "raw/elm").mkdir(parents=True)
    (folder / "raw/elm/manifest.csv").write_text("image,patient_id,modality\n")
    with pytest.raises(UserError, match=message):
        check_params(written({"elm": {"raw": "raw/elm", **site}}), "mark")


def test_real_images_where_a_phantom_would_be_written(folder):
    """DVC would delete them before the phantom's stage runs."""
    films = folder / "data/raw/alder"
    films.mkdir(parents=True)
    (films / "manifest.csv").write_text("image,patient_id,modality\n")
    with pytest.raises(UserError, match=r"data/raw/alder holds files that no phantom wrote.*move them elsewhere"):
        check_params(written(), "mark")
    (films / "manifest.csv").unlink()
    write_phantom(load(written()), "alder")
    check_params(written(), "mark")


def test_a_site_named_like_a_phantom_is_looked_at_all_the_same():
    with pytest.raises(UserError, match="site 'alder' has no raw studies"):
        check_params(written({"alder": {"dataset": "manifest", "raw": "films"}}), "mark")


def test_a_model_that_a_site_brings_is_looked_for_before_anything_runs():
    site = {"alder": {"dataset": "manifest", "raw": "data/raw/alder", "start": "weights/own.safetensors"}}
    together = {"federation": {"strategy": "fedavg"}}
    with pytest.raises(UserError, match=r"site 'alder': no model 'own\.safetensors' where `start` says"):
        check_params(written(site, **together), "mark")
    assert not Path("mark").exists()
    with pytest.raises(UserError, match=r"expected a file below weights/, .*; got /own"):
        check_params(written({"alder": site["alder"] | {"start": "/own"}}, **together), "mark")
