import pytest

from mtmed.config import parse
from mtmed.data import store
from mtmed.errors import UserError
from tasks.prepare_site import prepare_site, write_phantom

CONFIG = {
    "phantom": {"oak": {"modality": "mammography", "patients": 5, "size": 64, "broken": 1}},
    "sites": {"oak": {"dataset": "manifest", "raw": "data/raw/oak"}},
    "image": {"size": 32},
    "heads": {"malignancy": {"kind": "classification", "classes": ["m"], "modalities": ["mammography"]}},
}


def test_from_params_to_samples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = parse(CONFIG)
    assert write_phantom(config, "oak") == "data/raw/oak"
    summary = prepare_site(config, "oak")
    assert summary["quarantined"] == {"truncated": 1}
    assert (tmp_path / "data/prepared/oak/samples-00000.safetensors").is_file()


@pytest.mark.parametrize("work", [write_phantom, prepare_site])
def test_an_unknown_site(work):
    with pytest.raises(UserError, match="site 'aok': expected one of oak; did you mean 'oak'"):
        work(parse(CONFIG), "aok")


def test_a_hospital_has_a_key_of_its_own_and_a_phantom_has_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = parse(CONFIG)
    write_phantom(config, "oak")
    prepare_site(config, "oak", 0)
    assert {p.name for p in (tmp_path / "private/oak").iterdir()} == {"names.csv"}
    phantom = store.read(tmp_path / "data/prepared/oak")
    # real films under a phantom's name, as params.yaml still has it
    (tmp_path / "data/raw/oak").rename(tmp_path / "films")
    (tmp_path / "films/SYNTHETIC.txt").unlink()
    prepare_site(parse({**CONFIG, "sites": {"oak": {"dataset": "manifest", "raw": "films"}}}), "oak", 0)
    assert {p.name for p in (tmp_path / "private/oak").iterdir()} == {"names.csv", "key"}
    assert store.read(tmp_path / "data/prepared/oak")[0].study != phantom[0].study
