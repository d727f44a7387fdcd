"""Pretrained weights in a federation: one file at the coordinator, one start for all, and it is written down."""

import json
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file

from mtmed import checkpoint
from mtmed.config import parse
from mtmed.data import store
from mtmed.errors import UserError
from tasks import evaluation, federation
from tasks.exchange import Exchange
from tasks.initial_model import initial_key, settled
from tasks.jobs import model_key, update_key
from tasks.site import Place
from tasks.survey_site import survey_site
from tasks.train_alone import own_model, train_alone, train_pooled
from tasks.train_site import train_site
from tests import tiny

FILE = Path("weights/first.safetensors")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("weights").mkdir()
    write(FILE, 1)
    store.write(Path("data/prepared/alder"), tiny.studies(4, labelled={"malignancy": [True, True]}))
    Path("data/prepared/alder/summary.json").write_text(json.dumps({"quarantined": {}}))
    return tmp_path


def write(path, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        save_file(timm.create_model("test_convnext").state_dict(), path)


def configured(pretrained=str(FILE), **changes):
    raw = {
        "sites": {"alder": {"dataset": "manifest", "raw": "x"}},
        "heads": {
            "malignancy": {"kind": "classification", "classes": ["left", "right"], "modalities": ["mammography"]}
        },
        "image": {"size": tiny.SIZE},
        "model": {"encoder": "test_convnext", "channels": 8, "pretrained": pretrained, **changes.pop("model", {})},
        "training": tiny.training(epochs=1, freeze_encoder=changes.pop("frozen", False)).model_dump(),
        "federation": {"rounds": 1, "strategy": "local", "exchange": "exchange", **changes},
    }
    return parse(raw)


def place():
    return Place("alder", Path("data/prepared/alder"), Path("state"), Exchange("exchange"))


def opened(config):
    return federation.open_run(config, [survey_site(place(), j) for j in federation.jobs(config, "surveys")])


def start(run):
    return checkpoint.read_model(run.exchange.get(model_key(run.key, 0)))[0]


def alone(config):
    train_alone(place(), federation.reference_jobs(config, "x")[0])
    return checkpoint.load_network(own_model(place(), config))[1]


def test_round_0_is_the_weights_with_heads_from_the_seed():
    scratch = start(opened(settled(configured(None)))).mean
    first = start(opened(settled(configured()))).mean
    moved = tiny.differing(scratch, first)
    assert moved
    assert all(name.startswith("encoder.") for name in moved)
    kept = timm.create_model("test_convnext", pretrained=False, checkpoint_path=str(FILE)).state_dict()
    assert torch.equal(first["encoder.stages_1.blocks.0.mlp.fc1.weight"], kept["stages.1.blocks.0.mlp.fc1.weight"])
    assert torch.equal(first["encoder.stages_1.blocks.0.gamma"], kept["stages.1.blocks.0.gamma"]), "not 1"


def test_a_site_needs_neither_the_file_nor_its_name():
    config = settled(configured())
    run = opened(config)
    FILE.unlink()
    sent = [*federation.round_jobs(run, config, 0), *federation.reference_jobs(config, run.key)]
    assert str(FILE) not in json.dumps([job.as_parameters() for job in sent])
    train_site(place(), sent[0])
    last = checkpoint.read_update(run.exchange.get(update_key(run.key, 0, "alder"))).mean
    found = alone(config)
    assert not tiny.differing(last, found.mean), "the same start, and so the local strategy's model"
    assert found.lineage["pretrained"] == config.model.pretrained
    train_pooled(config, [place()], Path("pooled.safetensors"))
    assert "pretrained" in checkpoint.load_network(Path("pooled.safetensors"))[1].lineage


def test_the_weights_are_in_the_lineage_and_another_file_is_another_run():
    import hashlib

    one = opened(settled(configured()))
    assert start(one).lineage["pretrained"] == f"sha256:{hashlib.sha256(FILE.read_bytes()).hexdigest()}"
    assert opened(settled(configured())).key == one.key
    moved = Path("weights/moved.safetensors")
    FILE.rename(moved)
    assert opened(settled(configured(str(moved)))).key == one.key, "the same weights elsewhere"
    write(moved, 2)
    other = settled(configured(str(moved)))
    assert opened(other).key != one.key
    assert "pretrained" not in start(opened(settled(configured(None)))).lineage
    before = alone(other).mean
    write(moved, 3)
    assert tiny.differing(before, alone(settled(configured(str(moved)))).mean), "a reference of its own"


def test_a_frozen_encoder_stays_and_takes_no_bytes_in_few_bits():
    def sent(frozen):
        config = settled(configured(frozen=frozen, rounds=2, strategy="bayes", coding={"bits": 8}))
        run = opened(config)
        for round in range(2):
            turns = federation.turns(run, config, round)
            for jobs in turns:
                turns.take([train_site(place(), job) for job in jobs])
            federation.close_round(run, config, federation.aggregate_round(run, config, round, turns))
        last = checkpoint.read_model(run.exchange.get(model_key(run.key, 2)))[0]
        return tiny.differing(start(run).mean, last.mean), run.records[1]["sites"][0]["sent"]

    moved, few = sent(frozen=True)
    assert moved
    assert all(name.startswith("heads.") for name in moved)
    moved, many = sent(frozen=False)
    assert any(name.startswith("encoder.") for name in moved)
    assert few < 0.7 * many


def test_missing_weights_end_it_or_are_done_without_as_told(capsys):
    FILE.unlink()
    with pytest.raises(UserError, match=r"no weights at weights/first.safetensors: .*or say model.pretrained_missing"):
        settled(configured())
    assert not Path("exchange").exists()
    run = opened(settled(configured(model={"pretrained_missing": "scratch"})))
    assert "no weights at weights/first.safetensors" in (said := capsys.readouterr().out)
    assert "the encoder starts from scratch" in said
    assert start(run).lineage["pretrained"] == "missing"
    assert not tiny.differing(start(run).mean, start(opened(settled(configured(None)))).mean)


def test_without_a_network_the_hub_is_missing_too(monkeypatch, folder):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "cache"))
    with pytest.raises(UserError, match=r"cannot be fetched from https://huggingface.co/timm/test_convnext"):
        settled(configured("hub"))
    assert settled(configured("hub", model={"pretrained_missing": "scratch"})).model.pretrained == "missing"


def test_what_does_not_fit_is_never_done_without():
    save_file(timm.create_model("test_resnet").state_dict(), FILE)
    with pytest.raises(UserError, match=r"weights/first.safetensors: the weights do not fit model.encoder 'test_conv"):
        settled(configured(model={"pretrained_missing": "scratch"}))


def test_the_name_of_settled_weights_is_no_place_to_read_from():
    with pytest.raises(UserError, match=r"expected hub or a file below weights/, where sha256:0+ lies nowhere"):
        settled(configured("sha256:" + "0" * 64))


def published(config):
    run = opened(config)
    run.records.append(
        {"round": 0, "wall": 0.0, "sites": [], "aggregate": {"span": ("x", 0, 0), "contributions": {}, "refused": {}}}
    )
    run.exchange.put(model_key(run.key, 1), run.exchange.get(model_key(run.key, 0)))
    federation.publish(run, config, "out")
    return evaluation.published("out")


def test_references_start_where_the_federation_did_though_the_file_is_gone_or_another():
    trained = settled(configured())
    run = published(trained)
    write(FILE, 2)
    assert evaluation.as_trained(configured(), run) == trained
    FILE.unlink()
    assert evaluation.as_trained(configured(), run) == trained


def test_an_exchange_that_lost_the_initial_model_gets_it_again_from_the_same_weights_only():
    trained = settled(configured())
    run = published(trained)
    exchange = Exchange("exchange")
    exchange.remove("initial")
    assert evaluation.as_trained(configured(), run) == trained
    assert exchange.exists(initial_key(trained))
    exchange.remove("initial")
    write(FILE, 2)
    with pytest.raises(
        UserError, match=r"the federation in out started from sha256:\w+, and here is sha256:.*bring the"
    ):
        evaluation.as_trained(configured(), run)
