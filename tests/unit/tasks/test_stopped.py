"""A site whose work meets NaN: what stays there, what leaves, and how it goes on after the data are mended."""

import json
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from mtmed import checkpoint
from mtmed.config import parse
from mtmed.data import store
from mtmed.errors import NotFinite, UserError
from mtmed.registry import names
from tasks import dispatch, federation
from tasks.evaluate_site import evaluate_site
from tasks.exchange import Exchange
from tasks.initial_model import settled
from tasks.jobs import model_key
from tasks.memory import Memory
from tasks.site import Place
from tasks.survey_site import survey_site
from tasks.train_alone import train_alone, train_pooled
from tests import damaged, tiny

MARK = "planted-study"
SPLITS = {"train": 6, "validation": 2, "test": 3}


@pytest.fixture
def config(tmp_path):
    heads = {
        h.name: {"kind": h.kind, "classes": h.classes, "modalities": names("mtmed.modalities")} for h in tiny.HEADS
    }
    return settled(
        parse(
            {
                "sites": {"alder": {"dataset": "manifest", "raw": "x"}},
                "heads": heads,
                "image": {"size": tiny.SIZE},
                "model": {"encoder": "test_convnext", "channels": 8},
                "training": tiny.training(epochs=1, batch_size=2).model_dump(),
                "federation": {"strategy": "label_aware", "rounds": 2, "exchange": str(tmp_path / "exchange")},
                "evaluation": {"references": [], "replicates": 0, "overlays": False},
            }
        )
    )


@pytest.fixture
def place(config, tmp_path):
    studies = [s for seed, (split, count) in enumerate(SPLITS.items()) for s in tiny.studies(count, seed, None, split)]
    store.write(tmp_path / "alder", [replace(s, study=f"{MARK}-{n}") for n, s in enumerate(studies)])
    (tmp_path / "alder/summary.json").write_text(json.dumps({"quarantined": {}}))
    return Place("alder", tmp_path / "alder", tmp_path / "state", Exchange(config.federation.exchange))


def open_run(config, place):
    return federation.open_run(config, [survey_site(place, j) for j in federation.jobs(config, "surveys")])


def play(config, place, run, stop=99):
    """Rounds as flows/federate.py asks for them."""
    for round in range(run.rounds_done, min(stop, config.federation.rounds)):
        turns = federation.turns(run, config, round)
        for jobs in turns:
            turns.take([dispatch.do("train", place, job) for job in jobs])
        federation.close_round(run, config, federation.aggregate_round(run, config, round, turns))


def stopped(work, *arguments):
    """The error, with a check that nothing of it, nor of what it drags along, knows a study."""
    with pytest.raises(UserError) as met:
        work(*arguments)
    error = met.value
    assert (error.__cause__, error.__context__) == (None, None)
    assert (type(error), vars(error)) == (UserError, {})
    whole = "".join(traceback.format_exception(error, chain=True)) + repr(error.args)
    assert MARK not in whole
    assert "\n" not in str(error)
    return str(error)


def only_folder(place):
    (folder,) = (place.state / "stopped").iterdir()
    return folder


def why(folder):
    return json.loads((folder / "why.json").read_text())


def test_a_round_that_stops_leaves_the_last_good_state_and_the_studies_at_the_site(config, place, capfd):
    run = open_run(config, place)
    play(config, place, run, 1)
    damaged.measurement(place.data, 3, "lesion_width")
    said = stopped(play, config, place, run)
    folder = only_folder(place)
    told = why(folder)
    assert (told["what"], told["head"]) == ("the loss", "lesion_width")
    assert f"{MARK}-3" in told["studies"]
    assert len(told["studies"]) == 2
    assert said == (
        f"site 'alder', round 2: the loss of head 'lesion_width' at step {told['step']}: expected finite numbers, got "
        f"NaN or infinity; why.json in stopped/{folder.name} of its own state folder names the studies: mend or "
        "remove them, or lower training.learning_rate, and run again"
    )
    net, model = checkpoint.load_network(folder / "model.safetensors")
    assert (model.round, model.lineage["run"]) == (1, run.key)
    assert all(value.isfinite().all() for value in tiny.state(net).values())
    moments = load_file(folder / "moments.safetensors")
    counts = {float(v) for name, v in moments.items() if name.endswith("/step")}
    assert max(counts) == 3 + told["step"] - 1, "three steps of the first round, and those before the bad batch"
    out = capfd.readouterr()
    assert MARK not in out.out + out.err
    assert not [path for path in Path(place.exchange.root).rglob("*") if path.is_file() and _told(path)]


def _told(path):
    return MARK.encode() in path.read_bytes() or MARK in path.name


def test_after_the_data_are_mended_the_same_federation_goes_on(config, place):
    run = open_run(config, place)
    play(config, place, run)
    expected = run.exchange.get(model_key(run.key, 2))
    run.exchange.remove(run.key)
    Memory(place.state, run.key).forget()
    run = open_run(config, place)
    play(config, place, run, 1)
    shard = place.data / store.shard_name(0)
    good = shard.read_bytes()
    damaged.pixel(place.data, 2)
    before = Memory(place.state, run.key).read(1)
    assert "the pixels at step" in stopped(play, config, place, run)
    assert why(only_folder(place))["studies"] == [f"{MARK}-2"]
    assert not tiny.differing(Memory(place.state, run.key).read(1), before), "the moments of the round before"
    assert Memory(place.state, run.key).read(2) == {}
    shard.write_bytes(good)
    again = open_run(config, place)
    assert (again.key, again.rounds_done) == (run.key, 1)
    play(config, place, again)
    assert again.exchange.get(model_key(again.key, 2)) == expected


def test_without_the_study_it_is_another_federation_and_it_runs(config, place):
    run = open_run(config, place)
    damaged.pixel(place.data, 2)
    stopped(play, config, place, run)
    store.write(place.data, [s for s in store.read(place.data) if s.study != f"{MARK}-2"])
    other = open_run(config, place)
    assert other.key != run.key
    play(config, place, other)
    assert other.rounds_done == 2


@pytest.mark.parametrize(("row", "said"), [(1, "the pixels at step"), (7, "the pixels: expected")])
def test_studies_that_train_and_those_that_validate(config, place, row, said):
    damaged.pixel(place.data, row, float("inf"))
    run = open_run(config, place)
    assert said in stopped(play, config, place, run)
    assert why(only_folder(place))["studies"] == [f"{MARK}-{row}"]
    assert (why(only_folder(place))["step"] is None) == (row == 7)


def test_the_evaluation_stops_too(config, place):
    run = open_run(config, place)
    damaged.pixel(place.data, 9)
    job = federation.jobs(config, run.key, 0, {"global": model_key(run.key, 0)})[0]
    assert stopped(evaluate_site, place, job).startswith("site 'alder', evaluation: the pixels: expected")
    assert why(only_folder(place))["studies"] == [f"{MARK}-9"]
    assert [path.name for path in only_folder(place).iterdir()] == ["why.json"]


def test_references_stop_too_and_are_trained_when_the_data_are_mended(config, place, tmp_path):
    job = federation.reference_jobs(config, "x")[0]
    good = (place.data / store.shard_name(0)).read_bytes()
    damaged.pixel(place.data, 0)
    assert stopped(train_alone, place, job).startswith("reference 'alder', round 1: the pixels at step")
    assert {path.name for path in only_folder(place).iterdir()} == {
        "why.json",
        "model.safetensors",
        "moments.safetensors",
    }
    pooled = tmp_path / "pooled/x.safetensors"
    assert stopped(train_pooled, config, [place], pooled).startswith("reference 'pooled', round 1: the pixels")
    assert why(tmp_path / "pooled/stopped/x")["studies"] == [f"{MARK}-0"]
    assert not pooled.exists()
    (place.data / store.shard_name(0)).write_bytes(good)
    assert train_alone(place, job) == {"site": "alder"}


def test_the_marks_are_there_to_be_found(config, place):
    """Otherwise the tests above could not fail: the error that stays at the site knows the studies."""
    damaged.pixel(place.data, 2)
    with pytest.raises(NotFinite) as met:
        list(_collated(store.read(place.data), config))
    assert met.value.studies == (f"{MARK}-2",)


def _collated(studies, config):
    from mtmed.training.loader import collate

    yield collate(studies, list(config.heads.values()))
