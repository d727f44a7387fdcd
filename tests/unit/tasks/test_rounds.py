"""Whole rounds without servers: what a site sends, what the coordinator keeps, how a stopped run goes on."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load, save

from mtmed import checkpoint
from mtmed.aggregation.strategy import NAMED
from mtmed.config import parse
from mtmed.data import store
from mtmed.errors import UserError
from mtmed.models.multitask import build
from mtmed.registry import names
from mtmed.training.corrections import prior, scaffold
from mtmed.types import GlobalModel
from tasks import brought, federation
from tasks import train_site as train_site_module
from tasks.exchange import Exchange
from tasks.initial_model import settled
from tasks.jobs import Job, accept, model_key, refused_key, server_key, update_key
from tasks.memory import KINDS, Memory
from tasks.personal import with_own
from tasks.site import Place, on_this_machine
from tasks.survey_site import survey_site
from tasks.train_alone import own_model, reference_key, train_alone, train_pooled
from tasks.train_site import train_site
from tests import tiny

ALL = [True, True]
LABELS = {
    "alder": {h.name: ALL for h in tiny.HEADS},
    "birch": {"malignancy": ALL},
}


def write_site(folder, name, labelled):
    seed = sum(map(ord, name))
    studies = [*tiny.studies(6, seed, labelled), *tiny.studies(2, seed + 1, labelled, "validation")]
    store.write(folder, studies)
    (folder / "summary.json").write_text(json.dumps({"quarantined": {"unreadable": 1}}))


@pytest.fixture
def world(tmp_path):
    """A consortium of two sites: `world(strategy=...)` is its configuration and its places."""
    for name, labelled in LABELS.items():
        write_site(tmp_path / name, name, labelled)

    def make(strategy="bayes", strategies=None, **changes):
        heads = {
            h.name: {"kind": h.kind, "classes": h.classes, "modalities": names("mtmed.modalities")} for h in tiny.HEADS
        }
        raw = {
            "sites": {name: {"dataset": "manifest", "raw": "x"} for name in LABELS},
            "heads": heads,
            "image": {"size": tiny.SIZE},
            "model": {"encoder": "test_convnext", "channels": 8},
            "training": tiny.training(epochs=1).model_dump() | changes.pop("training", {}),
            "federation": {
                "strategy": strategy,
                "rounds": 2,
                "exchange": str(tmp_path / "exchange"),
                **changes,
            },
            "strategies": strategies or {},
        }
        config = settled(parse(raw))
        exchange = Exchange(config.federation.exchange)
        return config, {n: Place(n, tmp_path / n, tmp_path / "state" / n, exchange) for n in LABELS}

    return make


def survey(config, places):
    return [survey_site(places[j.site], j) for j in federation.jobs(config, "surveys")]


def play(config, places, run, stop=99):
    """Rounds as flows/federate.py asks for them."""
    for round in range(run.rounds_done, min(stop, config.federation.rounds)):
        record = federation.aggregate_round(run, config, round, trained(config, places, run, round))
        federation.close_round(run, config, record)


def trained(config, places, run, round=0):
    turns = federation.turns(run, config, round)
    for jobs in turns:
        turns.take([train_site(places[j.site], j) for j in jobs])
    return turns


def played(config, places, stop=99):
    run = federation.open_run(config, survey(config, places))
    play(config, places, run, stop)
    return run


def global_model(run, round):
    return checkpoint.read_model(run.exchange.get(model_key(run.key, round)))[0]


def test_a_site_says_what_it_has(world):
    config, places = world()
    found = survey(config, places)
    assert found[1] == {
        "site": "birch",
        "digest": places["birch"].digest(),
        "studies": {"train": 6, "validation": 2, "test": 0},
        "labelled": {"lesion_segmentation": 0, "lesion_detection": 0, "malignancy": 6, "lesion_width": 0},
        "modalities": ["mammography"],
        "quarantined": 1,
    }


def test_an_update_says_where_it_comes_from_and_what_was_learned(world):
    config, places = world()
    run = federation.open_run(config, survey(config, places))
    answers = {j.site: train_site(places[j.site], j) for j in federation.round_jobs(run, config, 0)}
    update = checkpoint.read_update(run.exchange.get(update_key(run.key, 0, "birch")))
    assert (update.site, update.round, update.examples) == ("birch", 0, 6)
    assert update.labelled == {"lesion_segmentation": 0, "lesion_detection": 0, "malignancy": 6, "lesion_width": 0}
    assert update.lineage == {"data": places["birch"].digest(), "code": run.lineage["code"], "run": run.key}
    assert not [n for n in update.precision if "lesion_" in n]
    start = global_model(run, 0).mean
    moved = tiny.differing(start, update.mean)
    assert moved
    assert not [n for n in moved if "lesion_" in n]
    assert {m.split("/")[0] for m in update.metrics} == {"train", "validation"}
    assert json.loads(json.dumps(answers["birch"]))["sent"] == len(run.exchange.get(update_key(run.key, 0, "birch")))
    assert {stage for stage, *_ in answers["birch"]["spans"]} == {"exchange", "state", "validate", "train", "fisher"}


@pytest.mark.parametrize("strategy", ["fedavg", "label_aware", "local"])
def test_precision_is_measured_only_where_it_is_asked_for(world, strategy):
    config, places = world(strategy)
    run = played(config, places, 1)
    update = checkpoint.read_update(run.exchange.get(update_key(run.key, 0, "alder")))
    assert update.precision == {}


def test_a_run_replayed_is_bit_equal(world):
    config, places = world()
    first = played(config, places)
    model = first.exchange.get(model_key(first.key, 2))
    first.exchange.remove(first.key)
    again = played(config, places)
    assert again.key == first.key
    assert again.exchange.get(model_key(again.key, 2)) == model


@pytest.mark.parametrize("alignment", ["l2", "matching"])
def test_an_alignment_changes_nothing_where_all_start_from_one_model(world, alignment):
    plain = played(*world("label_aware"))
    aligned = played(*world("mine", strategies={"mine": {"merge": "labels", "alignment": alignment}}))
    assert not tiny.differing(global_model(plain, 2).mean, global_model(aligned, 2).mean)


@pytest.mark.parametrize("strategy", ["bayes", "label_aware"])
def test_a_round_replayed_from_its_updates_is_bit_equal(world, strategy):
    config, places = world(strategy)
    run = played(config, places, 1)
    model = run.exchange.get(model_key(run.key, 1))
    answers = {answer["site"]: answer for answer in run.records[0]["sites"]}
    run.exchange.remove(model_key(run.key, 1))
    turns = federation.turns(run, config, 0)
    for jobs in turns:
        turns.take([answers[job.site] for job in jobs])
    federation.aggregate_round(run, config, 0, turns)
    assert run.exchange.get(model_key(run.key, 1)) == model


@pytest.mark.parametrize("strategy", NAMED)
def test_a_stopped_run_goes_on_where_it_stopped(world, capsys, strategy):
    config, places = world(strategy)
    whole = played(config, places)
    expected = whole.exchange.get(model_key(whole.key, 2))
    whole.exchange.remove(whole.key)
    played(config, places, stop=1)
    run = federation.open_run(config, survey(config, places))
    assert run.rounds_done == 1
    assert f"resuming {run.key}: 1 of 2 rounds are done" in capsys.readouterr().out
    play(config, places, run)
    assert run.exchange.get(model_key(run.key, 2)) == expected
    done = federation.open_run(config, survey(config, places))
    assert done.rounds_done == 2
    assert [r["round"] for r in done.records] == [0, 1]


def test_a_round_that_was_not_closed_is_done_again(world):
    config, places = world()
    run = federation.open_run(config, survey(config, places))
    updates = trained(config, places, run)
    federation.aggregate_round(run, config, 0, updates)
    assert federation.open_run(config, survey(config, places)).rounds_done == 0


def test_updates_are_forgotten_one_round_later(world):
    config, places = world("fedadam")
    run = played(config, places)
    there = [run.exchange.exists(update_key(run.key, r, "alder")) for r in (0, 1)]
    assert there == [False, True]
    assert [run.exchange.exists(server_key(run.key, r)) for r in (0, 1, 2)] == [False, True, True]


def test_a_refused_update_is_kept_and_the_round_goes_on(world, tmp_path, capsys):
    config, places = world("label_aware")
    run = federation.open_run(config, survey(config, places))
    updates = trained(config, places, run)
    key = update_key(run.key, 0, "birch")
    broken = checkpoint.read_update(run.exchange.get(key))
    broken.mean[next(iter(broken.mean))].fill_(float("nan"))
    run.exchange.put(key, checkpoint.update_bytes(broken))
    record = federation.aggregate_round(run, config, 0, updates)
    federation.close_round(run, config, record)
    assert "the update of birch is refused: it is not finite" in capsys.readouterr().out
    kept = checkpoint.read_update(run.exchange.get(refused_key(run.key, 0, "birch")))
    assert any(v.isnan().any() for v in kept.mean.values())
    play(config, places, run)
    federation.publish(run, config, str(tmp_path / "out"))
    table = pd.read_csv(tmp_path / "out" / "refused.csv")
    assert table[["round", "site"]].values.tolist() == [[0, "birch"]]


def test_a_file_that_is_no_update_is_refused(world):
    config, places = world("label_aware")
    run = federation.open_run(config, survey(config, places))
    updates = trained(config, places, run)
    run.exchange.put(update_key(run.key, 0, "birch"), b"no update")
    assert (
        "not a safetensors file" in federation.aggregate_round(run, config, 0, updates)["aggregate"]["refused"]["birch"]
    )


def test_an_update_under_another_sites_name_is_refused(world):
    config, places = world("label_aware")
    run = federation.open_run(config, survey(config, places))
    updates = trained(config, places, run)
    run.exchange.put(update_key(run.key, 0, "birch"), run.exchange.get(update_key(run.key, 0, "alder")))
    refused = federation.aggregate_round(run, config, 0, updates)["aggregate"]["refused"]
    assert refused == {"birch": "it says that it is of site 'alder'"}


def test_other_data_are_another_run(world):
    config, places = world()
    one = federation.open_run(config, survey(config, places))
    write_site(places["birch"].data, "other", LABELS["birch"])
    assert federation.open_run(config, survey(config, places)).key != one.key


def references(monkeypatch, correction):
    """What sites know when they begin to train with a correction, in the order in which they do."""
    seen = []
    plain = correction.Correction.hook
    monkeypatch.setattr(
        correction.Correction, "hook", lambda self, net, known: seen.append(known) or plain(self, net, known)
    )
    return seen


def test_a_local_prior_is_what_the_others_sent(world, monkeypatch):
    config, places = world("mine", strategies={"mine": {"merge": "labels", "correction": "prior"}})
    seen = references(monkeypatch, prior)
    run = played(config, places, 1)
    sent = checkpoint.read_update(run.exchange.get(update_key(run.key, 0, "birch"))).precision
    play(config, places, run)
    assert [bool(r.others.precision) for r in seen] == [False, False, True, True]
    of_alder = {name: value for name, value in seen[2].others.precision.items() if value.any()}
    assert of_alder.keys() == {name for name, value in sent.items() if value.any()}
    for name, value in of_alder.items():
        torch.testing.assert_close(value, sent[name].float(), rtol=1e-2, atol=1e-2 * float(sent[name].max()))


def test_scaffold_knows_where_the_others_went(world, monkeypatch):
    config, places = world("scaffold")
    seen = references(monkeypatch, scaffold)
    run = played(config, places, 1)
    sent = {s: checkpoint.read_update(run.exchange.get(update_key(run.key, 0, s))).gradient for s in LABELS}
    play(config, places, run)
    assert [bool(r.others.drift) for r in seen] == [False, False, True, True]
    for name, value in seen[2].others.drift.items():
        other = sent["birch"].get(name)
        expected = (other.float() - sent["alder"][name].float()) / 2 if other is not None else torch.zeros(())
        torch.testing.assert_close(value, expected.expand_as(value), rtol=2e-2, atol=1e-2 * float(value.abs().max()))


def test_with_fedbn_each_site_keeps_its_norms(world, monkeypatch):
    config, places = world("fedbn")
    started = {}
    plain = train_site_module.local_round
    monkeypatch.setattr(
        train_site_module,
        "local_round",
        lambda net, *args: started.__setitem__((args[2], args[3]), tiny.state(net)) or plain(net, *args),
    )
    run = played(config, places)
    kept = config.strategy.personal.names(tiny.network())
    own = tiny.state(checkpoint.network(global_model(run, 1).mean, config.architecture))
    assert kept
    assert set(tiny.differing(own, started["alder", 1])) <= kept
    assert tiny.differing(started["birch", 1], started["alder", 1])
    job = federation.jobs(config, run.key, 2, {"global": model_key(run.key, 2)})[0]
    last = checkpoint.read_update(run.exchange.get(update_key(run.key, 1, "alder"))).mean
    found = with_own(global_model(run, 2).mean, places["alder"], job, config)
    for name, value in found.items():
        assert torch.equal(value, last[name] if name in kept else global_model(run, 2).mean[name])
    late, place = replace(job, site="cedar"), replace(places["alder"], site="cedar")
    with pytest.raises(UserError, match="the exchange has lost the last update of site 'cedar'"):
        with_own(global_model(run, 2).mean, place, late, config)
    run.exchange.put(refused_key(run.key, 1, "cedar"), b"refused")
    assert not tiny.differing(with_own(global_model(run, 2).mean, place, late, config), global_model(run, 2).mean)


@pytest.mark.parametrize("strategy", ["bayes", "local"])
def test_only_local_starts_from_the_sites_own_update(world, strategy):
    config, places = world(strategy)
    run = federation.open_run(config, survey(config, places))
    first, second = (federation.round_jobs(run, config, r) for r in (0, 1))
    assert {j.models["start"] for j in first} == {model_key(run.key, 0)}
    shared = {"alder": model_key(run.key, 1), "birch": model_key(run.key, 1)}
    own = {s: update_key(run.key, 0, s) for s in LABELS}
    assert {j.site: j.models["start"] for j in second} == (own if strategy == "local" else shared)
    assert [(j.round, j.run) for j in second] == [(1, run.key)] * 2


def test_local_leaves_the_global_model_and_goes_on_from_its_own(world):
    config, places = world("local")
    run = played(config, places)
    assert not tiny.differing(global_model(run, 0).mean, global_model(run, 2).mean)
    last = checkpoint.read_update(run.exchange.get(update_key(run.key, 1, "alder"))).mean
    train_alone(places["alder"], federation.reference_jobs(config, run.key)[0])
    alone = checkpoint.load_network(own_model(places["alder"], config))[1].mean
    assert not tiny.differing(last, alone), "training alone is the local strategy at that site"


def test_a_reference_is_trained_once(world):
    config, places = world()
    job = federation.reference_jobs(config, "x")[0]
    assert train_alone(places["alder"], job) == {"site": "alder"}
    path = own_model(places["alder"], config)
    path.write_bytes(b"kept")
    train_alone(places["alder"], job)
    assert path.read_bytes() == b"kept"
    assert list(path.parent.iterdir()) == [path]


def test_references_depend_on_data_and_training_not_on_the_strategy(world):
    config, places = world()
    key = reference_key(config, list(places.values()))
    assert reference_key(world("fedavg")[0], list(places.values())) == key
    assert reference_key(config, [places["alder"]]) != key
    assert reference_key(world(seed=7)[0], list(places.values())) != key
    write_site(places["alder"].data, "other", LABELS["alder"])
    assert reference_key(config, list(places.values())) != key


def test_the_pooled_reference_learns_from_all(world, tmp_path):
    config, places = world(rounds=1)
    train_pooled(config, list(places.values()), tmp_path / "pooled.safetensors")
    net, _ = checkpoint.load_network(tmp_path / "pooled.safetensors")
    alone = checkpoint.load_network(_alone(config, places, "alder"))[0]
    assert tiny.differing(tiny.state(net), tiny.state(alone))


def _alone(config, places, site):
    train_alone(places[site], next(j for j in federation.reference_jobs(config, "x") if j.site == site))
    return own_model(places[site], config)


def test_publishing_writes_the_last_model_and_its_history(world, tmp_path):
    config, places = world()
    run = played(config, places)
    path = federation.publish(run, config, str(tmp_path / "out"))
    assert path.read_bytes() == run.exchange.get(model_key(run.key, 2))
    facts = json.loads((path.parent / "federation.json").read_text())
    assert (facts["run"], facts["rounds"], facts["strategy"], facts["seed"]) == (run.key, 2, "bayes", 0)
    assert facts["parameters"] == sum(v.numel() for v in global_model(run, 2).mean.values())
    assert sorted(p.name for p in path.parent.glob("*.csv")) == [
        "bytes.csv",
        "contributions.csv",
        "refused.csv",
        "rounds.csv",
        "seconds.csv",
    ]
    shares = pd.read_csv(path.parent / "contributions.csv").groupby(["round", "head"])["share"].sum()
    assert len(shares) == 2 * len(tiny.HEADS)
    assert shares.tolist() == pytest.approx([1.0] * len(shares), abs=1e-5)


def test_a_head_that_no_site_labels_is_one_line(world):
    config, places = world()
    sites = survey(config, places)
    for site in sites:
        site["labelled"]["lesion_detection"] = 0
    with pytest.raises(UserError, match="head 'lesion_detection' is labelled at no site: add its labels, or leave"):
        federation.open_run(config, sites)
    assert [p.name for p in Path(config.federation.exchange).iterdir()] == ["initial"], "no run was opened"


def test_a_site_without_training_images_is_one_line(world):
    config, places = world()
    sites = survey(config, places)
    sites[1]["studies"]["train"] = 0
    with pytest.raises(UserError, match="site 'birch' has no training images: give it data or leave it out"):
        federation.open_run(config, sites)


def test_a_site_without_prepared_data_is_one_line(world, tmp_path):
    config, places = world()
    empty = replace(places["alder"], data=tmp_path / "nowhere")
    with pytest.raises(UserError, match="prepare"):
        survey_site(empty, federation.jobs(config, "surveys")[0])
    with pytest.raises(UserError, match="site 'alder' has no prepared data"):
        empty.digest()


def test_a_start_of_another_architecture_is_one_line(world):
    config, places = world()
    run = federation.open_run(config, survey(config, places))
    other = run.key + "-other"
    wider = settled(config.model_copy(update={"model": config.model.model_copy(update={"channels": 16})}))
    federation.initialise(wider, run.exchange, other, {})
    job = federation.jobs(config, run.key, 0, {"start": model_key(other, 0)})[0]
    with pytest.raises(UserError, match="do not fit the architecture"):
        train_site(places["alder"], job)


def test_a_job_travels_as_plain_values(world):
    config, _ = world()
    job = federation.jobs(config, "run", 3, {"start": "x"})[0]
    sent = json.loads(json.dumps(job.as_parameters()))
    assert accept(sent, "alder") == job
    assert job.parsed().architecture == config.architecture
    with pytest.raises(UserError, match="site 'birch' was sent the job of site 'alder'"):
        accept(sent, "birch")
    with pytest.raises(UserError, match="other fields: path"):
        accept(sent | {"path": "/x"}, "alder")
    for odd in ({"run": "../../x"}, {"run": 3}, {"round": -1}, {"round": "0"}):
        with pytest.raises(UserError, match="which name no work of a federation"):
            accept(sent | odd, "alder")


def test_a_job_does_not_say_where_data_lie(world):
    config, _ = world()
    secret = config.model_copy(
        update={"sites": {n: s.model_copy(update={"raw": "secret/place"}) for n, s in config.sites.items()}}
    )
    assert "secret" not in json.dumps(federation.jobs(secret, "run")[0].as_parameters())


def test_a_job_is_checked_where_it_is_done():
    with pytest.raises(UserError, match="the coordinator's configuration: unknown key 'sitez'"):
        Job("alder", "run", 0, {}, {"sitez": {}}).parsed()


def test_what_is_sent_has_no_pixels_and_no_ids(world):
    config, places = world()
    run = played(config, places, 1)
    data = run.exchange.get(update_key(run.key, 0, "alder"))
    for study in store.read(places["alder"].data):
        assert study.study.encode() not in data
    shapes = {tuple(v.shape) for v in checkpoint.read_mean(data).values()}
    assert not [s for s in shapes if s[-2:] == (tiny.SIZE, tiny.SIZE)]
    assert all(v.dtype in (torch.float32, torch.bfloat16) for v in checkpoint.read_update(data).mean.values())


def relay(world, **options):
    return world("mine", strategies={"mine": {"merge": "labels", "order": "relay", **options}})


def test_in_a_relay_a_site_starts_where_the_one_before_it_stopped(world):
    config, places = relay(world, correction="prior")
    run = federation.open_run(config, survey(config, places))
    turns = federation.turns(run, config, 0)
    sites, starts = [], []
    for jobs in turns:
        assert len(jobs) == 1
        sites.append(jobs[0].site)
        starts.append(checkpoint.read_model(run.exchange.get(jobs[0].models["start"]))[0])
        turns.take([train_site(places[jobs[0].site], jobs[0])])
    sent = {s: checkpoint.read_update(run.exchange.get(update_key(run.key, 0, s))) for s in LABELS}
    assert sites == ["alder", "birch"]
    assert not starts[0].precision
    assert not tiny.differing(starts[1].mean, sent["alder"].mean)
    assert {n for n, p in starts[1].precision.items() if p.any()} == {
        n for n, p in sent["alder"].precision.items() if p.any()
    }
    record = federation.aggregate_round(run, config, 0, turns)
    merged = global_model(run, 1)
    moved = tiny.differing(global_model(run, 0).mean, merged.mean)
    for name in moved:
        torch.testing.assert_close(merged.mean[name], sent["birch"].mean[name])
    for name, total in merged.precision.items():
        parts = [u.precision[name].float() for u in sent.values() if name in u.precision]
        torch.testing.assert_close(total, sum(parts), rtol=2e-2, atol=1e-2 * float(total.max()))
    counts = record["aggregate"]["contributions"]["malignancy"]
    assert counts == pytest.approx({"alder": 0.5, "birch": 0.5})
    assert not run.exchange.exists(f"{run.key}/round-000/turns"), "what was handed on is forgotten"


def test_another_site_begins_in_each_round_and_the_last_rounds_are_together(world):
    config, _ = relay(world, relayed=0.5)
    order = config.strategy.order
    assert order.chains(["b", "a", "c"], 0, 4) == [["a", "b", "c"]]
    assert order.chains(["b", "a", "c"], 1, 4) == [["b", "c", "a"]]
    assert order.chains(["b", "a", "c"], 2, 4) == [["a"], ["b"], ["c"]]


def test_what_is_refused_is_not_handed_on(world, capsys):
    config, places = relay(world)
    run = federation.open_run(config, survey(config, places))
    turns = federation.turns(run, config, 0)
    rounds = iter(turns)
    (first,) = next(rounds)
    answer = train_site(places["alder"], first)
    broken = checkpoint.read_update(run.exchange.get(answer["key"]))
    broken.mean[next(iter(broken.mean))].fill_(float("nan"))
    run.exchange.put(answer["key"], checkpoint.update_bytes(broken))
    turns.take([answer])
    (second,) = next(rounds)
    assert second.models["start"] == first.models["start"]
    turns.take([train_site(places["birch"], second)])
    record = federation.aggregate_round(run, config, 0, turns)
    assert "the update of alder is not handed on: it is not finite" in capsys.readouterr().out
    assert list(record["aggregate"]["refused"]) == ["alder"]
    assert record["aggregate"]["contributions"]["malignancy"] == {"birch": 1.0}
    assert run.exchange.exists(refused_key(run.key, 0, "alder"))
    federation.close_round(run, config, record)
    play(config, places, run)


@pytest.mark.parametrize("options", [{"merge": "bayes"}, {"merge": "labels", "order": "relay", "correction": "prior"}])
def test_in_few_bits_a_federation_is_nearly_the_same_and_resumes_to_the_bit(world, options):
    whole_config, places = world("mine", strategies={"mine": options})
    whole = played(whole_config, places)
    config, _ = world("mine", strategies={"mine": options}, coding={"bits": 8})
    run = played(config, places)
    start, plain, coded = (global_model(r, n).mean for r, n in ((run, 0), (whole, 2), (run, 2)))
    assert distance(coded, plain) < 0.2 * distance(start, plain)
    bytes_of = {r.key: [(a["sent"], a["received"]) for rec in r.records for a in rec["sites"]] for r in (whole, run)}
    assert all(few[0] < 0.5 * many[0] for few, many in zip(bytes_of[run.key], bytes_of[whole.key], strict=True))
    assert all(few[1] < 0.6 * many[1] for few, many in zip(bytes_of[run.key][2:], bytes_of[whole.key][2:], strict=True))
    expected = run.exchange.get(model_key(run.key, 2))
    run.exchange.remove(run.key)
    played(config, places, stop=1)
    play(config, places, federation.open_run(config, survey(config, places)))
    assert run.exchange.get(model_key(run.key, 2)) == expected


def test_a_site_that_lost_its_state_is_sent_what_it_lacks(world):
    config, places = world("label_aware", coding={"bits": 8})
    run = played(config, places, stop=1)
    for kind in KINDS:
        Memory(places["alder"].state, run.key, kind).forget()
    play(config, places, run)
    got = {a["site"]: a["received"] for a in run.records[1]["sites"]}
    assert got["alder"] > 2 * got["birch"]


def test_what_is_no_coded_update_is_refused_and_the_round_goes_on(world):
    config, places = world("label_aware", coding={"bits": 8})
    run = federation.open_run(config, survey(config, places))
    turns = federation.turns(run, config, 0)
    for jobs in turns:
        answers = [train_site(places[j.site], j) for j in jobs]
        run.exchange.put(answers[1]["key"], b"nothing")
        turns.take(answers)
    record = federation.aggregate_round(run, config, 0, turns)
    assert "not a safetensors file" in record["aggregate"]["refused"]["birch"]


def distance(one, two):
    return sum(float((one[n] - two[n]).square().sum()) for n in one) ** 0.5


@pytest.fixture
def four(world, tmp_path):
    """A consortium of four sites in two chains."""
    config, places = relay(world, chain=2)
    raw = config.model_dump(mode="json", exclude={"phantom"})
    names_of = ("alder", "birch", "cedar", "dogwood", "elm", "fir")
    for name in names_of[2:]:
        write_site(tmp_path / name, name, LABELS["alder"])
    raw["sites"] = {name: {"dataset": "manifest", "raw": "x"} for name in names_of}
    raw["heads"] = {name: {k: v for k, v in head.items() if k != "name"} for name, head in raw["heads"].items()}
    found = settled(parse(raw))
    return found, {n: Place(n, tmp_path / n, tmp_path / "state" / n, places["alder"].exchange) for n in names_of}


def test_of_a_chain_that_is_refused_all_sites_are(four):
    config, places = four
    run = federation.open_run(config, survey(config, places))
    turns = trained(config, places, run)
    key = update_key(run.key, 0, turns.taken[0][-1])
    far = checkpoint.read_update(run.exchange.get(key))
    start = global_model(run, 0).mean
    moved = {name: start[name] + 100 * (value - start[name]) for name, value in far.mean.items()}
    run.exchange.put(key, checkpoint.update_bytes(replace(far, mean=moved)))
    record = federation.aggregate_round(run, config, 0, turns)
    federation.close_round(run, config, record)
    assert sorted(record["aggregate"]["refused"]) == sorted(turns.taken[0])
    for site in turns.taken[0]:
        assert not run.exchange.exists(update_key(run.key, 0, site)), "it took no part"
        assert run.exchange.exists(refused_key(run.key, 0, site))
    play(config, places, run)
    assert run.rounds_done == 2


def test_the_first_site_of_a_round_is_compared_with_those_of_the_last(world):
    config, places = relay(world)
    run = played(config, places, stop=1)
    assert sorted(run.records[0]["measured"]) == ["alder", "birch"]
    turns = federation.turns(run, config, 1)
    jobs = next(iter(turns))
    answer = train_site(places[jobs[0].site], jobs[0])
    far = checkpoint.read_update(run.exchange.get(answer["key"]))
    start = checkpoint.read_mean(run.exchange.get(jobs[0].models["start"]))
    moved = {name: start[name] + 1000 * (value - start[name]) for name, value in far.mean.items()}
    run.exchange.put(answer["key"], checkpoint.update_bytes(replace(far, mean=moved)))
    turns.hops.before["cedar"] = turns.hops.before["alder"]  # a median needs three
    turns.take([answer])
    assert "went a distance" in turns.refused[jobs[0].site]


def test_what_a_site_says_of_its_work_is_not_asked(world):
    config, places = world("label_aware")
    run = federation.open_run(config, survey(config, places))
    turns = federation.turns(run, config, 0)
    for jobs in turns:
        answers = [train_site(places[j.site], j) for j in jobs]
        answers[1] |= {"site": "alder", "key": model_key(run.key, 0)}
        turns.take(answers)
    record = federation.aggregate_round(run, config, 0, turns)
    assert record["aggregate"]["refused"] == {}
    assert [a["site"] for a in record["sites"]] == ["alder", "birch"]
    assert run.exchange.exists(model_key(run.key, 0))


def test_in_few_bits_a_site_is_told_of_the_others_and_not_of_itself(world, monkeypatch):
    config, places = world("mine", strategies={"mine": {"merge": "labels", "correction": "prior"}}, coding={"bits": 4})
    seen = references(monkeypatch, prior)
    run = played(config, places, 1)
    sent = checkpoint.read_update(run.exchange.get(update_key(run.key, 0, "birch"))).precision
    play(config, places, run)
    for name, value in seen[2].others.precision.items():
        if name in sent:
            torch.testing.assert_close(value, sent[name].float(), rtol=0.5, atol=1e-2 * float(sent[name].max()))
        else:
            assert not value.any()


@pytest.mark.parametrize("harm", ["base", "scale", "shape", "kind"])
def test_a_coded_update_that_is_odd_is_refused(world, harm):
    config, places = world("label_aware", coding={"bits": 8})
    run = federation.open_run(config, survey(config, places))
    turns = federation.turns(run, config, 0)
    for jobs in turns:
        answers = [train_site(places[j.site], j) for j in jobs]
        data = run.exchange.get(answers[1]["key"])
        tensors, said = load(data), json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        name = next(n for n in tensors if n.endswith("/scale"))
        if harm == "base":
            header = json.loads(said["mtmed"]) | {"base": answers[1]["key"]}
            said = {"mtmed": json.dumps(header)}
        elif harm == "scale":
            del tensors[name]
        elif harm == "shape":
            tensors[name] = torch.ones(3, 3)
        else:
            tensors[name.removesuffix("/scale")] = torch.ones(3, dtype=torch.bfloat16)
        run.exchange.put(answers[1]["key"], save(tensors, said))
        turns.take(answers)
    assert list(federation.aggregate_round(run, config, 0, turns)["aggregate"]["refused"]) == ["birch"]


@pytest.fixture
def own(tmp_path):
    """A model that a site brings: another initialisation, and for one head only."""
    heads = tuple(head for head in tiny.HEADS if head.kind == "classification")
    net = build(replace(tiny.architecture(), heads=heads), 7)
    path = tmp_path / "own.safetensors"
    path.write_bytes(checkpoint.model_bytes(GlobalModel(0, checkpoint.weights(net)), net.architecture))
    return path, checkpoint.weights(net)


def bringing(places, path):
    return places | {"birch": replace(places["birch"], start=path)}


def test_a_site_starts_its_first_round_from_the_model_that_it_brings(world, own, monkeypatch):
    config, places = world("mine", {"mine": {"merge": "labels", "alignment": "l2"}})
    places, seen = bringing(places, own[0]), []
    usual = train_site_module.local_round
    monkeypatch.setattr(
        train_site_module, "local_round", lambda net, *a: seen.append((a[2], checkpoint.weights(net))) or usual(net, *a)
    )
    run = played(config, places)
    at = {(site, round): net for (site, net), round in zip(seen, (0, 0, 1, 1), strict=True)}
    drawn, after = global_model(run, 0).mean, global_model(run, 1).mean
    for name, value in at["birch", 0].items():
        assert torch.equal(value, own[1].get(name, drawn[name])), "a head that it lacks is the federation's"
    assert any(not torch.equal(own[1][name], drawn[name]) for name in own[1])
    assert all(torch.equal(at["alder", 0][n], drawn[n]) for n in drawn)
    assert all(torch.equal(at[site, 1][n], after[n]) for site in places for n in after)


def test_what_a_site_brings_is_a_part_of_the_run_and_of_its_lineage(world, own):
    config, places = world("mine", {"mine": {"merge": "labels"}})
    run = federation.open_run(config, survey(config, places))
    with_own_start = bringing(places, own[0])
    other = federation.open_run(config, survey(config, with_own_start))
    assert other.key != run.key
    assert reference_key(config, [with_own_start["birch"]]) != reference_key(config, [places["birch"]])
    play(config, with_own_start, other, 1)
    key = update_key(other.key, 0, "birch")
    said = checkpoint.read_update(other.exchange.get(key)).lineage
    assert said["start"].startswith("sha256:")
    assert "start" not in checkpoint.read_update(other.exchange.get(update_key(other.key, 0, "alder"))).lineage


@pytest.mark.parametrize(
    ("strategy", "file", "message"),
    [
        (
            {"merge": "labels"},
            "nowhere",
            "site 'birch': no model 'nowhere.safetensors' where `start` says: put it there",
        ),
        ({"merge": "labels"}, "wide", "expected a start with encoder 'test_convnext' and 8 channels, got .* and 16$"),
        ({"merge": "labels"}, "classes", "its start has a head 'malignancy' .* with classes one, two, three: expected"),
        ({"merge": "labels", "order": "relay"}, "own", "has sites train in turn.*choose order: together"),
    ],
)
def test_what_cannot_be_started_from_is_told_before_anything_is_trained(world, own, tmp_path, strategy, file, message):
    config, places = world("mine", {"mine": strategy})
    said = tiny.architecture(heads=[replace(tiny.CLASSIFICATION, classes=("one", "two", "three"))])
    for name, architecture in {"wide": replace(tiny.architecture(), channels=16), "classes": said}.items():
        weights = checkpoint.weights(build(architecture))
        model = checkpoint.model_bytes(GlobalModel(0, weights), architecture)
        (tmp_path / f"{name}.safetensors").write_bytes(model)
    path = own[0].with_stem(file)
    with pytest.raises(UserError, match=message) as caught:
        survey(config, bringing(places, path))
    assert str(tmp_path) not in str(caught.value), "what a site says may travel"


@pytest.mark.parametrize("dispatch", ["local", "deployments"])
def test_what_a_site_brings_is_named_where_it_works_on_this_machine(world, dispatch):
    config, _ = world("mine", {"mine": {"merge": "labels"}})
    brings = config.sites["birch"].model_copy(update={"start": "weights/own.safetensors"})
    changes = {
        "sites": {**config.sites, "birch": brings},
        "federation": config.federation.model_copy(update={"dispatch": dispatch}),
        "evaluation": config.evaluation.model_copy(update={"references": ("local",)}),
    }
    config = config.model_copy(update=changes)
    sent = {job.site: job.parsed() for job in federation.jobs(config, "surveys")}["birch"]
    found = on_this_machine(sent, "birch").start
    assert found == (Path("weights/own.safetensors") if dispatch == "local" else None)


def test_a_frozen_encoder_and_a_model_of_ones_own_do_not_go_together(world, own):
    config, places = world("mine", {"mine": {"merge": "labels"}})
    frozen = config.training.model_copy(update={"freeze_encoder": True})
    with pytest.raises(UserError, match=r"training\.freeze_encoder is true"):
        brought.expect_fitting(bringing(places, own[0])["birch"], config.model_copy(update={"training": frozen}))


def test_a_site_without_an_update_is_left_out_and_the_round_goes_on(world):
    config, places = world("label_aware")
    run = federation.open_run(config, survey(config, places))
    updates = trained(config, places, run)
    run.exchange.remove(update_key(run.key, 0, "birch"))
    assert list(federation.aggregate_round(run, config, 0, updates)["aggregate"]["refused"]) == ["birch"]
    assert run.exchange.exists(model_key(run.key, 1))


def test_a_round_of_which_nothing_can_be_read_says_why(world):
    config, places = world("label_aware")
    run = federation.open_run(config, survey(config, places))
    updates = trained(config, places, run)
    for site in places:
        run.exchange.put(update_key(run.key, 0, site), b"nothing")
    with pytest.raises(UserError, match="all updates are refused; that of site 'alder': it is not a safetensors file"):
        federation.aggregate_round(run, config, 0, updates)


def test_a_site_without_labels_of_a_head_has_its_share_where_examples_count(world):
    config, places = world("fedavg")
    run = played(config, places, 1)
    shares = run.records[0]["aggregate"]["contributions"]
    assert shares["lesion_detection"] == pytest.approx({"alder": 0.5, "birch": 0.5})
