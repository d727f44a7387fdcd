"""A federation in a real MLflow store: whole rounds, a resumed one, and how it ends."""

import json
from dataclasses import replace

import mlflow
import pytest
import torch

from mtmed import checkpoint
from mtmed.config import parse
from mtmed.errors import UserError
from mtmed.models.multitask import build
from mtmed.types import GlobalModel
from tasks.exchange import Exchange
from tasks.jobs import model_key
from tasks.tracking import Tracker, fetch_model, log_calibrated, open_store
from tests import tiny

SITES = [
    {"site": name, "digest": f"{name}-1", "studies": {"train": 6, "validation": 2, "test": 0}, "labelled": {}}
    for name in ("alder", "birch")
]


# MLflow's own: its use of SQLAlchemy, and the type hints in its modules
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]


def configured(uri="sqlite:///mlflow.db"):
    head = {"kind": "classification", "classes": ["malignant"], "modalities": ["mammography"]}
    return parse(
        {
            "sites": {s["site"]: {"dataset": "manifest", "raw": "x"} for s in SITES},
            "heads": {"malignancy": head},
            "image": {"size": tiny.SIZE},
            "model": {"encoder": "test_convnext", "channels": 8},
            "federation": {"rounds": 2, "exchange": "exchange"},
            "tracking": {"uri": uri},
        }
    )


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Two rounds, done, and an empty store."""
    monkeypatch.chdir(tmp_path)
    config = configured()
    open_store(config)
    net = build(config.architecture)
    for round in (1, 2):
        model = GlobalModel(round, checkpoint.weights(net))
        Exchange("exchange").put(model_key("run", round), checkpoint.model_bytes(model, config.architecture))
    return config


def record(round):
    return {
        "round": round,
        "sites": [
            {"site": s["site"], "metrics": {"validation/malignancy/auroc": 0.5 + 0.1 * n}, "sent": 10}
            for n, s in enumerate(SITES)
        ],
        "aggregate": {"key": model_key("run", round + 1), "refused": {}},
    }


def history(config, tracker, name):
    found = mlflow.MlflowClient(config.tracking.uri).get_metric_history(tracker.parent, name)
    return [(m.step, pytest.approx(m.value)) for m in found]


def models(config, tracker):
    """{name: experiment} of the models of the federation's run, as a list, so that doubles show."""
    client = mlflow.MlflowClient(config.tracking.uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = [m for m in client.search_logged_models(experiments) if m.source_run_id == tracker.parent]
    return sorted((m.name, str(m.experiment_id)) for m in found)


def test_a_federation_that_was_killed_goes_on_in_the_same_runs(config, monkeypatch):
    exchange, client = Exchange("exchange"), mlflow.MlflowClient(config.tracking.uri)
    first = Tracker(config, "run", SITES, exchange)
    first.log_round(record(0))
    assert client.get_run(first.parent).info.status == "RUNNING"
    first.__exit__(KeyboardInterrupt)
    assert client.get_run(first.parent).info.status == "FAILED"

    # killed again in the middle of a round: its model is there, its last metric is not
    killed = Tracker(config, "run", SITES, exchange)
    monkeypatch.setattr(killed, "_metrics", lambda *_: None)
    killed.log_round(record(1))

    with Tracker(config, "run", SITES, exchange) as again:
        again.catch_up([record(0), record(1)])
        again.catch_up([record(0), record(1)])
    assert (again.parent, again.children) == (first.parent, first.children)
    assert {client.get_run(r).info.status for r in (again.parent, *again.children.values())} == {"FINISHED"}
    assert history(config, again, "bytes/sent") == [(1, 20), (2, 20)]
    assert history(config, again, "mean/validation/malignancy/auroc") == [(1, 0.55), (2, 0.55)]
    assert history(config, again, "worst/validation/malignancy/auroc") == [(1, 0.5), (2, 0.5)]
    assert models(config, again) == [("round-001", again.experiment), ("round-002", again.experiment)]
    assert {stage for stage, *_ in again.spans} == {"tracking"}

    parent = client.get_run(again.parent)
    assert "2 sites on 12 images in 2 rounds" in parent.data.tags["mlflow.note.content"]
    assert json.loads(parent.inputs.dataset_inputs[0].dataset.source) == {"site": "alder"}
    assert client.get_model_version_by_alias(config.tracking.model, "champion").run_id == again.parent
    model, _ = checkpoint.read_model(fetch_model("models:/mtmed@champion", config.tracking.uri).read_bytes())
    assert model.round == 2
    assert all(isinstance(v, torch.Tensor) for v in model.mean.values())


def test_what_nobody_trained_is_not_registered(config):
    spec = config.federation.model_copy(update={"strategy": "local"})
    local, client = config.model_copy(update={"federation": spec}), mlflow.MlflowClient(config.tracking.uri)
    with Tracker(local, "alone", SITES, Exchange("exchange")) as tracker:
        tracker.log_round(record(0))
        tracker.log_round(record(1))
    assert models(local, tracker) == [("round-001", tracker.experiment), ("round-002", tracker.experiment)]
    assert tracker.parent not in {version.run_id for version in client.search_model_versions()}


def test_the_model_with_temperatures_follows_its_federations_champion(config, tmp_path):
    exchange, client, name = Exchange("exchange"), mlflow.MlflowClient(config.tracking.uri), config.tracking.model

    def federation(key):
        for round in (1, 2):
            exchange.put(model_key(key, round), exchange.get(model_key("run", round)))
        with Tracker(config, key, SITES, exchange) as tracker:
            for round in (0, 1):
                tracker.log_round({**record(round), "aggregate": {"key": model_key(key, round + 1), "refused": {}}})
        return tracker

    def champion():
        return checkpoint.read_model(fetch_model("models:/mtmed@champion", config.tracking.uri).read_bytes())[0]

    def calibrated(key, temperature):
        model, architecture = checkpoint.read_model(exchange.get(model_key(key, 2)))
        path = tmp_path / "global.safetensors"
        path.write_bytes(checkpoint.model_bytes(replace(model, temperatures={"malignancy": temperature}), architecture))
        log_calibrated(config, key, 2, path)
        return len(client.search_model_versions(f"name = '{name}'"))

    first = federation("first")
    assert champion().temperatures == {}
    known = calibrated("first", 1.5)
    assert champion().temperatures == {"malignancy": 1.5}
    assert calibrated("first", 1.5) == known, "the same file is registered once"
    assert calibrated("first", 2.5) == known + 1
    assert champion().temperatures == {"malignancy": 2.5}
    assert client.get_run(first.parent).info.status == "FINISHED"

    second = federation("second")
    calibrated("first", 3.5)
    assert champion().temperatures == {}
    assert client.get_model_version_by_alias(name, "champion").run_id == second.parent


def test_why_a_federation_failed_is_not_hidden_by_a_store_that_fails_too(config, monkeypatch):
    tracker = Tracker(config, "other", SITES, Exchange("exchange"))

    def refuse(*_, **__):
        raise mlflow.exceptions.MlflowException("gone")

    monkeypatch.setattr(tracker.client, "set_terminated", refuse)
    with pytest.raises(UserError, match="the reason"), tracker:
        raise UserError("the reason")
    with pytest.raises(mlflow.exceptions.MlflowException, match="gone"), tracker:
        pass


def test_a_store_that_does_not_answer_is_one_line():
    with pytest.raises(UserError, match=r"the MLflow store sqlite:////proc/.* does not answer: ") as caught:
        open_store(configured("sqlite:////proc/nothing/mlflow.db"))
    assert "\n" not in str(caught.value)
