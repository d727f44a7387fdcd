"""Files that travel: bit-equal there and back, and one line for everything that is not one of ours."""

import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save, save_file

from mtmed import checkpoint
from mtmed.errors import UserError
from mtmed.models.multitask import build
from mtmed.types import GlobalModel, SiteUpdate
from tests import tiny

ARCHITECTURE = tiny.architecture()
PRECISION = {"a": torch.tensor([0.0, 1.0, 3.0]), "b": torch.zeros(2, 2)}
MEAN = {"a": torch.tensor([1.0, -0.0, 1e-30]), "b": torch.rand(2, 2), "only.mean": torch.rand(3)}
MODEL = GlobalModel(3, MEAN, PRECISION, {"run": "x", "code": "y"})
UPDATE = SiteUpdate("alder", 2, MEAN, PRECISION, {"h": 7}, 9, {"train/h": 0.25}, {"data": "z.dir"})
MODEL_FILE = checkpoint.model_bytes(MODEL, ARCHITECTURE)
UPDATE_FILE = checkpoint.update_bytes(UPDATE)


def header(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])["__metadata__"]


def test_a_model_travels_bit_equal():
    model, architecture = checkpoint.read_model(MODEL_FILE)
    assert architecture == ARCHITECTURE
    assert (model.round, model.lineage) == (3, MODEL.lineage)
    assert not tiny.differing(model.mean, MEAN)
    assert not tiny.differing(model.precision, PRECISION)
    assert checkpoint.model_bytes(model, architecture) == MODEL_FILE


def test_temperatures_travel_with_a_model_and_are_used(tmp_path):
    net = tiny.network(seed=2)
    told = {"malignancy": 1.75, "lesion_segmentation": 0.5}
    data = checkpoint.model_bytes(GlobalModel(1, checkpoint.weights(net), temperatures=told), ARCHITECTURE)
    assert checkpoint.read_model(data)[0].temperatures == told
    (tmp_path / "m.safetensors").write_bytes(data)
    again, _ = checkpoint.load_network(tmp_path / "m.safetensors")
    assert {name: again.decoder(name).temperature for name in again.heads} == {
        **dict.fromkeys(again.heads, 1.0),
        **told,
    }
    assert "temperatures" not in json.loads(header(MODEL_FILE)["mtmed"])  # as before there were any
    assert checkpoint.read_model(MODEL_FILE)[0].temperatures == {}
    assert tiny.network().decoder("malignancy").temperature == 1.0  # networks are copies of one


@pytest.mark.parametrize(
    "told", [{"malignancy": 0}, {"malignancy": -1}, {"other": 1.0}, {"malignancy": "x"}, [1], {"malignancy": None}]
)
def test_temperatures_that_are_none_are_one_line(told):
    model = GlobalModel(1, MEAN, temperatures={"malignancy": 7.0})
    said = json.loads(header(checkpoint.model_bytes(model, ARCHITECTURE))["mtmed"]) | {"temperatures": told}
    with pytest.raises(UserError, match=r"m\.file has an unexpected header"):
        checkpoint.read_model(forged({"mtmed": json.dumps(said)}), "m.file")


def test_an_update_travels_bit_equal():
    update = checkpoint.read_update(UPDATE_FILE)
    assert not tiny.differing(update.mean, MEAN)
    blank = {"mean": {}, "precision": {}}
    assert replace(update, **blank) == replace(UPDATE, **blank)
    assert checkpoint.update_bytes(update) == UPDATE_FILE


def test_a_network_travels_bit_equal():
    net = build(tiny.architecture("test_resnet"), seed=4)
    with torch.no_grad():
        net.encoder.bn1.running_mean.fill_(0.5)
    data = checkpoint.model_bytes(GlobalModel(1, checkpoint.weights(net)), net.architecture)
    model, architecture = checkpoint.read_model(data)
    again = checkpoint.network(model.mean, architecture)
    assert not tiny.differing(tiny.state(net), tiny.state(again))


def test_precision_travels_as_bfloat16_and_zero_stays_zero():
    values = torch.tensor([0.0, 1e-30, 1e-3, 1.0, 3e38, 0.1])
    sent = checkpoint.update_bytes(replace(UPDATE, mean={"a": values}, precision={"a": values}))
    came = checkpoint.read_update(sent).precision["a"]
    assert came.dtype == torch.bfloat16
    assert (came[1:] > 0).all()
    assert came[0] == 0
    assert not torch.signbit(came[0])
    torch.testing.assert_close(came.float(), values, rtol=2**-8, atol=0)
    assert "a" in checkpoint.read_update(sent).mean
    assert not checkpoint.read_update(UPDATE_FILE).precision["b"].any()


def test_the_same_model_gives_the_same_bytes():
    assert {checkpoint.model_bytes(MODEL, ARCHITECTURE) for _ in range(20)} == {MODEL_FILE}
    turned = replace(MODEL, mean=dict(reversed(MEAN.items())))
    assert checkpoint.model_bytes(turned, ARCHITECTURE) == MODEL_FILE


def test_a_part_of_a_tensor_travels_as_that_part():
    mean = {"a": torch.arange(12.0).reshape(3, 4)[:, 1:3].T}
    came = checkpoint.read_mean(checkpoint.model_bytes(GlobalModel(0, mean), ARCHITECTURE))
    assert not tiny.differing(came, mean)


def test_the_header_says_where_a_file_comes_from():
    said = json.loads(header(UPDATE_FILE)["mtmed"])
    assert said == {
        "format": "mtmed/1",
        "kind": "update",
        "site": "alder",
        "round": 2,
        "labelled": {"h": 7},
        "examples": 9,
        "metrics": {"train/h": 0.25},
        "lineage": {"data": "z.dir"},
    }
    assert json.loads(header(MODEL_FILE)["mtmed"])["architecture"]["encoder"] == ARCHITECTURE.encoder


def test_either_kind_has_weights():
    for data in (MODEL_FILE, UPDATE_FILE):
        assert not tiny.differing(checkpoint.read_mean(data), MEAN)


def forged(said):
    return save({"a": torch.ones(1)}, said)


def changed(**changes):
    return forged({"mtmed": json.dumps(json.loads(header(UPDATE_FILE)["mtmed"]) | changes)})


NOT_OURS = {
    "empty": (b"", "is not a safetensors file"),
    "truncated header": (UPDATE_FILE[:40], "is not a safetensors file"),
    "truncated tensors": (UPDATE_FILE[:-8], "is not a safetensors file"),
    "a pickle": (b"\x80\x04}q\x00." * 9, "is not a safetensors file"),
    "a foreign file": (save({"a": torch.ones(2)}), "of another kind: expected one that mtmed wrote"),
    "a foreign format": (save({"a": torch.ones(2)}, {"format": "pt"}), "of another kind"),
    "another version": (changed(format="mtmed/2"), "has format 'mtmed/2', expected 'mtmed/1'"),
    "a header that is not JSON": (forged({"mtmed": "{"}), "unexpected header"),
    "a header without a kind": (forged({"mtmed": "{}"}), "unexpected header"),
    "a header that is a list": (forged({"mtmed": "[]"}), "unexpected header"),
}


@pytest.mark.parametrize("name", NOT_OURS)
@pytest.mark.parametrize("read", [checkpoint.read_model, checkpoint.read_update, checkpoint.read_mean])
def test_a_file_that_is_not_ours_is_one_line(name, read):
    data, expected = NOT_OURS[name]
    with pytest.raises(UserError, match=expected) as caught:
        read(data, "alder.safetensors")
    assert str(caught.value).startswith("alder.safetensors ")
    assert "\n" not in str(caught.value)


def test_an_update_of_another_version_is_one_line():
    for data in (
        changed(auxiliary=1),
        forged({"mtmed": '{"format": "mtmed/1", "kind": "update", "site": "alder"}'}),
    ):
        with pytest.raises(UserError, match="another version of mtmed"):
            checkpoint.read_update(data)
    with pytest.raises(UserError, match="another version of mtmed"):
        checkpoint.read_model(changed(kind="model"))


@pytest.mark.parametrize("odd", [{"examples": math.nan}, {"labelled": {"h": "7"}}, {"labelled": [7]}, {"round": True}])
def test_counts_that_are_none_are_one_line(odd):
    with pytest.raises(UserError, match="the update has an unexpected header"):
        checkpoint.read_update(changed(**odd))


def test_a_kind_where_the_other_is_expected_is_one_line():
    with pytest.raises(UserError, match=r"^a\.file is no model: expected a file that a federation wrote as one$"):
        checkpoint.read_model(UPDATE_FILE, "a.file")
    with pytest.raises(UserError, match="is no update"):
        checkpoint.read_update(MODEL_FILE)


@pytest.mark.parametrize(
    ("encoder", "heads"),
    [("test_vit", tiny.HEADS), ("test_convnext", tiny.HEADS[:2])],
    ids=["encoder", "heads"],
)
def test_weights_of_another_architecture_are_one_line(encoder, heads):
    mean = checkpoint.weights(build(tiny.architecture(encoder, heads)))
    with pytest.raises(UserError, match=r"do not fit the architecture 'test_convnext' with heads lesion") as caught:
        checkpoint.network(mean, ARCHITECTURE)
    assert "\n" not in str(caught.value)


def test_weights_of_another_width_are_one_line():
    mean = checkpoint.weights(build(replace(ARCHITECTURE, channels=16)))
    with pytest.raises(UserError, match=r"they differ in 'heads\."):
        checkpoint.network(mean, ARCHITECTURE)


def test_no_model_at_a_path_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no model at .*nowhere"):
        checkpoint.load_network(tmp_path / "nowhere")


def test_a_model_file_needs_nothing_else(tmp_path):
    net = tiny.network(seed=2)
    path = tmp_path / "global.safetensors"
    path.write_bytes(checkpoint.model_bytes(GlobalModel(5, checkpoint.weights(net)), ARCHITECTURE))
    again, model = checkpoint.load_network(path)
    assert model.round == 5
    assert not tiny.differing(tiny.state(net), tiny.state(again))


def test_counters_do_not_travel():
    names = checkpoint.weights(tiny.network("test_resnet"))
    assert not [n for n in names if "num_batches_tracked" in n]
    assert [n for n in names if "running_mean" in n]
    assert len(load(MODEL_FILE)) == len(MEAN) + len(PRECISION)


def test_an_update_can_be_read_tensor_by_tensor(tmp_path):
    update = SiteUpdate("alder", 3, {"encoder.w": torch.rand(3, 2)}, {"encoder.w": torch.rand(3, 2)}, {"m": 4}, 5)
    path = tmp_path / "update.safetensors"
    path.write_bytes(checkpoint.update_bytes(update))
    whole, opened = checkpoint.read_update(path.read_bytes()), checkpoint.open_update(path)
    assert (opened.site, opened.round, opened.labelled, opened.examples) == ("alder", 3, {"m": 4}, 5)
    for found, expected in ((opened.mean, whole.mean), (opened.precision, whole.precision)):
        assert found.keys() == expected.keys()
        assert len(found) == 1
        assert torch.equal(found["encoder.w"], expected["encoder.w"])
        assert "encoder.x" not in found
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(UserError, match="it is not a safetensors file"):
        checkpoint.open_update(tmp_path / "x", "it")
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="a safetensors file of another kind"):
        checkpoint.open_update(path)
