"""From two sites' validation patients to one model with temperatures, and what the evaluation makes of it."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from mtmed import checkpoint
from mtmed.config import parse
from mtmed.data import store
from mtmed.errors import UserError
from mtmed.evaluation import exchange as text
from mtmed.evaluation.temperature import best, scale
from mtmed.registry import find
from mtmed.training.observe import observe, predict
from mtmed.types import GlobalModel
from tasks import federation
from tasks.calibrate import calibrate
from tasks.calibrate_site import calibrate_site, curves_of
from tasks.evaluate_site import evaluate_site
from tasks.exchange import Exchange
from tasks.jobs import calibration_key, evaluation_key
from tasks.site import Place
from tests import tiny

ALL = [True, True]
LABELS = {"alder": {h.name: ALL for h in tiny.HEADS}, "birch": {"malignancy": [True, False]}}
PROBABLE = ("lesion_segmentation", "malignancy")
HEADS = {h.name: {"kind": h.kind, "classes": h.classes, "modalities": h.modalities} for h in tiny.HEADS}


@pytest.fixture
def world(tmp_path):
    """Two sites with two validation patients each, and a model that is far too sure."""
    config = parse(
        {
            "sites": {name: {"dataset": "manifest", "raw": "x"} for name in LABELS},
            "heads": HEADS,
            "image": {"size": tiny.SIZE},
            "model": {"encoder": "test_convnext", "channels": 8},
            "federation": {"rounds": 2, "exchange": str(tmp_path / "exchange")},
            "evaluation": {"references": ["threshold"], "replicates": 3, "overlays": False},
        }
    )
    exchange = Exchange(config.federation.exchange)
    for seed, (name, labelled) in enumerate(LABELS.items()):
        splits = {"train": 4, "validation": 3, "test": 4}
        store.write(tmp_path / name, [s for k, n in splits.items() for s in tiny.studies(n, seed + n, labelled, k)])
    net = tiny.network()
    with torch.no_grad():
        for head in PROBABLE:
            net.heads[head].predictor.weight.mul_(6)
    exchange.put("model", checkpoint.model_bytes(GlobalModel(2, checkpoint.weights(net)), net.architecture))
    return config, {n: Place(n, tmp_path / n, tmp_path / "state" / n, exchange) for n in LABELS}, net


def asked(config, places, work, models):
    return [work(places[j.site], j) for j in federation.jobs(config, "run", 2, models)]


def calibrated(config, places, out):
    answers = asked(config, places, calibrate_site, {"global": "model"})
    return calibrate(config, "run", {"global": "model"}, answers, str(out))


def test_a_site_sends_sums_of_the_heads_that_it_labels_and_that_have_probabilities(world):
    config, places, _ = world
    answers = asked(config, places, calibrate_site, {"global": "model"})
    sent = [places["alder"].exchange.get(a["key"]) for a in answers]
    curves = [text.calibration_from_json(data.decode()).curves["global"] for data in sent]
    assert [set(c) for c in curves] == [set(PROBABLE), {"malignancy"}]
    assert [c["malignancy"].examples for c in curves] == [6, 3]  # classes that are labelled, of three images each
    assert [c["malignancy"].images for c in curves] == [3, 3]
    for place in places.values():
        assert not [s for s in store.read(place.data) if s.study.encode() in sent[0] + sent[1]]
    assert json.loads(json.dumps(answers))[1]["sent"] == len(sent[1])


def test_the_temperature_is_that_of_the_pooled_validation_patients(world, tmp_path):
    config, places, net = world
    calibrated(config, places, tmp_path / "out")
    pooled = [s for p in places.values() for s in store.read(p.data, "validation")]
    expected = {head: best(curve) for head, curve in curves_of(net, pooled).items()}
    model, _ = checkpoint.read_model((tmp_path / "out/global.safetensors").read_bytes())
    assert model.temperatures == pytest.approx(expected, rel=1e-4)
    assert model.temperatures["malignancy"] > 1
    table = pd.read_csv(tmp_path / "out/temperatures.csv").set_index("head")
    assert table["temperature"].to_dict() == pytest.approx(expected, rel=1e-4)
    assert (table.loc["malignancy", "images"], table.loc["malignancy", "sites"]) == (6, 2)
    assert (table.loc["lesion_segmentation", "images"], table.loc["lesion_segmentation", "sites"]) == (3, 1)


def test_a_head_that_no_validation_patient_labels_stays_as_it_is_and_is_named(world, tmp_path):
    config, places, _ = world
    labelled = {"malignancy": ALL}
    store.write(places["alder"].data, tiny.studies(2, 0, labelled, "validation"))
    calibrated(config, places, tmp_path / "out")
    model, _ = checkpoint.read_model((tmp_path / "out/global.safetensors").read_bytes())
    assert set(model.temperatures) == {"malignancy"}
    table = pd.read_csv(tmp_path / "out/temperatures.csv").set_index("head")
    assert table.loc["lesion_segmentation", ["temperature", "images", "sites"]].tolist() == [1, 0, 0]


def test_no_validation_patient_at_all(world, tmp_path):
    config, places, _ = world
    for place in places.values():
        store.write(place.data, tiny.studies(2, 0, {"malignancy": ALL}, "test"))
    keys = calibrated(config, places, tmp_path / "out")
    assert not checkpoint.read_model(places["alder"].exchange.get(keys["global"]))[0].temperatures
    assert set(pd.read_csv(tmp_path / "out/temperatures.csv")["temperature"]) == {1}


def test_a_federation_without_a_common_model_has_a_table_only(world, tmp_path):
    config, _, _ = world
    assert calibrate(config, "run", {}, [], str(tmp_path / "out")) == {}
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["temperatures.csv"]
    assert list(pd.read_csv(tmp_path / "out/temperatures.csv")) == ["model", "head", "temperature", "images", "sites"]


def test_the_file_predicts_scaled_probabilities_and_nothing_else_changes(world, tmp_path):
    config, places, net = world
    calibrated(config, places, tmp_path / "out")
    scaled, model = checkpoint.load_network(tmp_path / "out/global.safetensors")
    tests = [s for p in places.values() for s in store.read(p.data, "test")]
    images = torch.from_numpy(np.stack([s.image for s in tests]))[:, None]
    raw, now = (predict(n, images, [*PROBABLE, "lesion_width"]) for n in (net, scaled))
    for head in PROBABLE:
        assert float((raw[head] - now[head]).abs().max()) > 0.02
        torch.testing.assert_close(
            now[head].double(), torch.from_numpy(scale(raw[head].numpy(), model.temperatures[head])), atol=1e-5, rtol=0
        )
    assert torch.equal(raw["lesion_width"], now["lesion_width"])
    for head, (observations, _) in observe(net, tests).items():
        metrics = find("mtmed.heads", config.heads[head].kind, "head kind").metrics
        assert metrics(observe(scaled, tests)[head][0]) == pytest.approx(metrics(observations))


def test_the_evaluation_measures_both(world, tmp_path):
    config, places, _ = world
    keys = calibrated(config, places, tmp_path / "out")
    asked(config, places, evaluate_site, keys)
    told = text.from_json(places["alder"].exchange.get(evaluation_key("run", "alder")).decode())
    for head in PROBABLE:
        found = told.heads["global"][head]
        errors = [found.metrics[name] for name in ("calibration_error_unscaled", "calibration_error")]
        assert errors[0] != errors[1]
        assert sum(found.calibration["count"]) == sum(found.unscaled["count"]) > 0
        assert {"calibration_error", "calibration_error_unscaled"} <= found.replicates.keys()
    assert not told.heads["global"]["lesion_width"].unscaled
    assert not told.heads["threshold"]["lesion_segmentation"].unscaled  # it has no logits


def test_what_a_site_sends_is_read_as_if_it_were_wrong(world, tmp_path):
    config, places, _ = world
    answers = asked(config, places, calibrate_site, {"global": "model"})
    raw = json.loads(places["alder"].exchange.get(calibration_key("run", "birch")))
    raw["curves"]["global"]["malignancy"]["nll"].pop()
    places["alder"].exchange.put(calibration_key("run", "birch"), json.dumps(raw).encode())
    with pytest.raises(UserError, match=r"birch.*malignancy\.nll: expected 41 numbers of at least 0"):
        calibrate(config, "run", {"global": "model"}, answers, str(tmp_path / "out"))
