"""A network as an ONNX file: it says what the original says, for any number and size of images, or is not kept."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from typer.testing import CliRunner

from flows.cli import app
from mtmed import checkpoint
from mtmed.errors import UserError
from mtmed.models.multitask import build
from mtmed.onnx import parity
from mtmed.onnx.export import export
from mtmed.onnx.runtime import load
from mtmed.types import GlobalModel
from tests import tiny

pytestmark = pytest.mark.timeout(1800)  # tracing takes half a minute of a processor, and a machine may be busy
STATE = GlobalModel(7, {}, lineage={"config": "abc"})
NAMES = [h.name for h in tiny.HEADS]


def mtmed(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(result, text):
    """Exit status 2, no traceback, and one line on stderr that matches `text`."""
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert re.match(f"error: .*{text}", lines[0]), lines[0]


def saved(net, path):
    state = replace(STATE, mean=checkpoint.weights(net))
    path.write_bytes(checkpoint.model_bytes(state, net.architecture))
    return path


@pytest.fixture(scope="module")
def net():
    """Of which half of the pixels of noise belong to a mask."""
    net = tiny.opinionated(tiny.network("mtmedformer_tiny"))
    probability = net.tensors(parity.images(2, tiny.SIZE), ["lesion_segmentation"])["lesion_segmentation"][""]
    with torch.no_grad():
        net.heads["lesion_segmentation"].predictor.bias -= probability.logit().mean((0, 2, 3))
    return net


@pytest.fixture(scope="module")
def folder(net, tmp_path_factory):
    """model.safetensors, model.onnx that the command made of it, and film.png."""
    folder = tmp_path_factory.mktemp("models")
    model = saved(net, folder / "model.safetensors")
    result = mtmed("export", model, folder / "model.onnx")
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r".*model.onnx: at most \d\.\de-\d\d from PyTorch \(1e-04 is allowed\)\n", result.output)
    assert sorted(p.name for p in folder.iterdir()) == ["model.onnx", "model.safetensors"]
    rows, columns = np.mgrid[:150, :110]
    film = 90 + 60 * np.sin(rows / 9) * np.cos(columns / 13) + np.random.default_rng(0).normal(0, 9, rows.shape)
    Image.fromarray(film.clip(0, 255).astype(np.uint8)).save(folder / "film.png")
    return folder


def speaks(net):
    """That its answers depend on the image, so that an export could be wrong."""
    found = net.tensors(parity.images(2, tiny.SIZE), NAMES)
    spread = [values.flatten(1).std(1).min() for parts in found.values() for values in parts.values()]
    return min(map(float, spread)) > 1e-3


@pytest.mark.parametrize("encoder", ["mtmedformer_tiny", "pvt_v2_b0", "resnet10t"])
def test_it_says_what_the_original_says(encoder, tmp_path, request):
    """The default, a hierarchical transformer, a convolutional network; four kinds of heads."""
    if encoder == "mtmedformer_tiny":
        net, path = request.getfixturevalue("net"), request.getfixturevalue("folder") / "model.onnx"
    else:
        net, path = tiny.opinionated(tiny.network(encoder)), tmp_path / "m.onnx"
        export(net, STATE, path)
    assert speaks(net)
    exported, _ = load(path)
    for count, size in ((1, 64), (4, 64), (2, 32), (1, 96), (3, 224), (1, 512)):
        assert exported.accepts(size)
        assert parity.difference(net, exported, parity.images(count, size)) < 1e-4
    standard = (torch.tensor(0.4), torch.tensor(0.1))
    assert parity.difference(net, exported, parity.images(2, 64), standard) < 1e-4
    assert parity.difference(net, exported, torch.zeros(1, 1, 64, 64)) < 1e-4
    assert not any(exported.accepts(size) for size in (0, 16, 100, 8192))


def test_the_file_says_what_it_is(folder):
    exported, model = load(folder / "model.onnx")
    assert exported.architecture == tiny.architecture("mtmedformer_tiny")
    assert (model.round, model.lineage, model.mean) == (7, {"config": "abc"}, {})
    graph = onnx.load(folder / "model.onnx").graph
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.output}
    assert shapes == {
        "lesion_segmentation": ["batch", 2, "size", "size"],
        "lesion_detection.boxes": ["batch", "places", 4],
        "lesion_detection.scores": ["batch", "places", 2],
        "malignancy": ["batch", 2],
        "lesion_width": ["batch", 2],
    }
    assert [v.name for v in graph.input] == ["images", "standard"]
    assert "standard" in {i.name for i in graph.initializer}, "it may be left out"


def test_heads_that_are_not_asked_for_are_not_computed(folder):
    exported, _ = load(folder / "model.onnx")
    images = parity.images(1, tiny.SIZE)
    assert exported.tensors(images, ["malignancy"]).keys() == {"malignancy"}
    assert exported.tensors(images, NAMES)["lesion_detection"].keys() == {"boxes", "scores"}


@pytest.mark.parametrize("more", [(), ("--tiles", 64)])
def test_it_predicts_as_the_model_does(folder, tmp_path, more):
    said, masks = {}, {}
    for kind in ("safetensors", "onnx"):
        words = ("predict", folder / f"model.{kind}", folder / "film.png", "--out", tmp_path / kind, *more)
        result = mtmed(*words)
        assert result.exit_code == 0, result.stderr
        said[kind] = json.loads((tmp_path / kind / "film.json").read_text())
        masks[kind] = {p.name: np.asarray(Image.open(p)) for p in (tmp_path / kind).glob("*_segmentation.*.png")}
    one, two = (s["heads"] for s in said.values())
    assert said["onnx"]["model"]["lineage"] == said["safetensors"]["model"]["lineage"] == {"config": "abc"}
    assert said["onnx"]["model"]["round"] == 7
    assert said["onnx"].get("tiles") == said["safetensors"].get("tiles")
    assert one["malignancy"]["probabilities"] == pytest.approx(two["malignancy"]["probabilities"], abs=1e-4)
    assert one["lesion_width"]["measurements"] == pytest.approx(two["lesion_width"]["measurements"], abs=1e-4)
    assert len(one["lesion_detection"]["boxes"]) == len(two["lesion_detection"]["boxes"]) > 0
    for a, b in zip(one["lesion_detection"]["boxes"], two["lesion_detection"]["boxes"], strict=True):
        assert a["score"] == pytest.approx(b["score"], abs=1e-4)
    assert len(masks["onnx"]) == 2
    for name, mask in masks["onnx"].items():
        assert 0 < (mask > 0).mean() < 1
        assert (mask != masks["safetensors"][name]).mean() < 0.001


def test_an_export_that_says_something_else_is_not_kept(folder, tmp_path, monkeypatch):
    exported, _ = load(folder / "model.onnx")
    with pytest.raises(UserError, match=r"differs from the original by \d.* and 1e-04 is allowed"):
        parity.check_parity(tiny.opinionated(tiny.network("mtmedformer_tiny", seed=1)), exported)
    monkeypatch.setattr(parity, "TOLERANCE", -1.0)  # nothing is near enough
    model = saved(build(tiny.architecture("test_convnext", [tiny.CLASSIFICATION])), tmp_path / "m.safetensors")
    (tmp_path / "m.onnx").write_text("what was there")
    refused(mtmed("export", model, tmp_path / "m.onnx"), "the exported network differs")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.safetensors"]
    assert (tmp_path / "m.onnx").read_text() == "what was there"


def test_an_encoder_of_one_size(tmp_path):
    net = tiny.opinionated(build(tiny.architecture("test_vit3", [tiny.SEGMENTATION])))
    model = saved(net, tmp_path / "m.safetensors")
    refused(mtmed("export", model, tmp_path / "m.onnx"), "'test_vit3' sees images of 64 x 64 pixels only.*--fixed-size")
    assert mtmed("export", model, tmp_path / "m.onnx", "--fixed-size").exit_code == 0
    exported, _ = load(tmp_path / "m.onnx")
    assert exported.accepts(64)
    assert not exported.accepts(96)
    assert parity.difference(net, exported, parity.images(5, 64)) < 1e-4
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 100), dtype=np.uint8)).save(tmp_path / "a.png")
    words = ("predict", tmp_path / "m.onnx", tmp_path / "a.png", "--out", tmp_path / "out")
    refused(mtmed(*words, "--tiles", 128), "cannot take tiles of 128 pixels: give tiles of 64")
    assert mtmed(*words, "--tiles", 64).exit_code == 0


def test_an_encoder_that_the_exporter_refuses(tmp_path):
    net = build(tiny.architecture("test_convnext", [tiny.CLASSIFICATION]))
    net.encoder.register_forward_pre_hook(lambda _, images: print(float(images[0].sum())))
    with pytest.raises(
        UserError, match=r"'test_convnext' cannot be exported: .*; --fixed-size asks for less"
    ) as refusal:
        export(net, STATE, tmp_path / "m.onnx")
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def other(path, **metadata):
    """An ONNX file that mtmed did not write."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)


def test_files_that_are_none(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.onnx").write_text("no graph")
    (tmp_path / "empty.onnx").write_text("")
    other("other.onnx")
    other("damaged.onnx", mtmed='{"format": "mtmed/1", "kind": "model"}')
    other("newer.onnx", mtmed='{"format": "mtmed/9", "kind": "model"}')

    def predict(model):
        return mtmed("predict", model, folder / "film.png", "--out", "out")

    refused(predict("nowhere.onnx"), "no model at nowhere.onnx: expected an .onnx file")
    for name in ("text", "empty"):
        refused(predict(f"{name}.onnx"), f"{name}.onnx is not a file that ONNX Runtime can read")
    refused(predict("other.onnx"), "other.onnx is an ONNX file of another kind: expected one that mtmed export wrote")
    refused(predict("damaged.onnx"), "damaged.onnx has an unexpected header")
    refused(predict("newer.onnx"), "newer.onnx has format 'mtmed/9', expected 'mtmed/1'")
    assert not (tmp_path / "out").exists()


def test_where_it_may_be_written(folder, tmp_path):
    model = folder / "model.safetensors"
    refused(mtmed("export", model, tmp_path / "m.pt"), "m.pt: expected a name that ends in .onnx")
    refused(mtmed("export", model, tmp_path / "no/m.onnx"), "expected a folder that is there")
    refused(mtmed("export", tmp_path / "m.safetensors", tmp_path / "m.onnx"), "no model at")


@pytest.mark.parametrize("package", ["onnxscript", "onnxruntime"])
def test_without_the_extra(folder, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    line = rf"{package} is not installed: pip install 'mtmed\[onnx\]'"
    refused(mtmed("export", folder / "model.safetensors", tmp_path / "m.onnx"), line)
    if package == "onnxruntime":
        refused(mtmed("predict", folder / "model.onnx", folder / "film.png", "--out", tmp_path), line)
    assert not list(tmp_path.iterdir())
