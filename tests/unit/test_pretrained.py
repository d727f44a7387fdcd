"""Files of weights: safetensors and plain torch files; nothing that runs code, and no network where there is none."""

import argparse
import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file

from mtmed import checkpoint
from mtmed.errors import UserError
from mtmed.pretrained import Missing, from_file, from_hub
from mtmed.types import GlobalModel, SiteUpdate
from tests import tiny

NAME, SIZE = "test_convnext", 64


@pytest.fixture(scope="module")
def state():
    return timm.create_model(NAME).state_dict()


def read(path):
    return from_file(path, NAME, SIZE)


def test_safetensors_and_torch_files_with_the_wrappings_of_training_are_the_same_weights(tmp_path, state):
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pth")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "c.pth.tar")
    torch.save({"state_dict": {}, "state_dict_ema": state, "args": argparse.Namespace(lr=1)}, tmp_path / "d.pth.tar")
    one, *others = (read(tmp_path / name) for name in ("a.safetensors", "b.pth", "c.pth.tar", "d.pth.tar"))
    assert one.sha256 == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    for other in others:
        assert other.sha256 != one.sha256, "another file"
        assert all(torch.equal(one.tensors[name], value) for name, value in other.tensors.items())


def test_of_a_model_that_mtmed_wrote_it_is_the_encoder(tmp_path):
    net, path = tiny.network(NAME), tmp_path / "global.safetensors"
    path.write_bytes(checkpoint.model_bytes(GlobalModel(3, checkpoint.weights(net)), net.architecture))
    found = from_file(path, NAME, tiny.SIZE)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    wanted = {f"encoder.{name}": value for name, value in found.tensors.items()}
    assert wanted.keys() == {name for name in checkpoint.weights(net) if name.startswith("encoder.")}
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in wanted.items())
    with pytest.raises(UserError, match=r"global.safetensors: it is a model with encoder 'test_convnext' .*'test_vit'"):
        from_file(path, "test_vit", tiny.SIZE)
    same = replace(net.architecture, encoder="resnet18")  # of the same shapes, as far as the file says
    path.write_bytes(checkpoint.model_bytes(GlobalModel(3, checkpoint.weights(net)), same))
    with pytest.raises(UserError, match="it is a model with encoder 'resnet18'"):
        from_file(path, NAME, tiny.SIZE)


def test_an_update_is_no_weights(tmp_path):
    update = SiteUpdate("alder", 0, checkpoint.weights(tiny.network(NAME)), {}, {}, 1)
    (tmp_path / "w.safetensors").write_bytes(checkpoint.update_bytes(update))
    with pytest.raises(UserError, match=r"w.safetensors: it is no model"):
        read(tmp_path / "w.safetensors")


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, monkeypatch, state):
    monkeypatch.chdir(tmp_path)
    torch.save({**state, "x": Bomb()}, "bomb.pth")
    Path("old.pkl").write_bytes(pickle.dumps({**state, "x": Bomb()}, protocol=2))
    for name in ("bomb.pth", "old.pkl"):
        with pytest.raises(
            UserError, match=rf"{name}: cannot be read \(.*expected a .safetensors file, or a torch file"
        ):
            read(Path(name))
    assert not Path("exploded").exists()
    pickle.loads(pickle.dumps(Bomb()))
    assert Path("exploded").exists(), "it would have run"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p, _: p.write_bytes(b""), "cannot be read"),
        (lambda p, _: p.write_bytes(b"weights" * 99), "cannot be read"),
        (lambda p, _: torch.save([torch.zeros(2)], p), "cannot be read|no state dict"),
        (lambda p, _: torch.save(torch.zeros(2), p), "cannot be read|no state dict"),
        (lambda p, _: torch.save({}, p), "no state dict: .*found nothing"),
        (lambda p, _: torch.save({"epoch": 3}, p), "no state dict: .*found epoch"),
        (lambda p, s: torch.save({**s, "stem.0.bias": torch.zeros(3)}, p), r"size mismatch for stem\.0\.bias"),
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_is_no_file_of_weights_is_one_line_that_names_it(tmp_path, state, write, message, name):
    path = tmp_path / name
    write(path, state)
    message = "cannot be read" if name == "w.safetensors" else message  # torch's files under another name
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("new", [True, False])
def test_a_file_that_was_cut_short_anywhere_is_one_line(tmp_path, new):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=new)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 5):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"w\.pth: "):
            read(path)


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "w.safetensors", tmp_path):
        with pytest.raises(Missing, match=r"no weights at .*: put the file there, or take model.pretrained out"):
            read(path)


def test_tensors_without_a_place_are_told(tmp_path, state, capsys):
    save_file({**state, "stages.4.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    read(tmp_path / "w.safetensors")
    assert (
        f"1 of {len(state) + 1} tensors have no place in {NAME}, the first 'stages.4.weight'" in capsys.readouterr().out
    )


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No network and an empty cache, whatever this machine has."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("offline")
def test_without_a_network_the_hubs_address_and_the_remedy_are_one_line(capsys):
    expected = (
        r"'resnet18' cannot be fetched from https://huggingface\.co/timm/resnet18\.\w+ \(.*bring model.safetensors of "
        r"that page here by other means and name it, model\.pretrained: weights/<file>"
    )
    with pytest.raises(Missing, match=expected) as caught:
        from_hub("resnet18", SIZE)
    assert "\n" not in str(caught.value)
    assert "weights of resnet18: from the cache, or https://huggingface.co/timm/resnet18" in capsys.readouterr().out


def test_an_encoder_that_timm_never_trained():
    with pytest.raises(UserError, match=r"timm has no weights for model.encoder 'cs3darknet_s'"):
        from_hub("cs3darknet_s", SIZE)
