"""bfloat16 where the processor computes in it, and one line where it was asked for and does not."""

import pytest
import torch

from mtmed.errors import UserError
from mtmed.training import device
from mtmed.training.local import Span, train
from tests import tiny

CPU = torch.device("cpu")


def inside(precision):
    with device.autocast(precision, CPU):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.fixture(params=[True, False])
def able(request, monkeypatch):
    monkeypatch.setattr(device, "_cpu_bfloat16", lambda: request.param)
    return request.param


def test_auto_takes_what_the_processor_has(able):
    assert inside("auto") == (torch.bfloat16 if able else torch.float32)


@pytest.mark.usefixtures("able")
def test_float32_is_float32():
    assert inside("float32") == torch.float32


def test_bfloat16_is_bfloat16_or_an_error(able):
    if able:
        assert inside("bfloat16") == torch.bfloat16
    else:
        with pytest.raises(UserError, match=r"training\.precision is bfloat16, which this processor lacks"):
            inside("bfloat16")


def test_training_says_so_too(monkeypatch):
    monkeypatch.setattr(device, "_cpu_bfloat16", lambda: False)
    with pytest.raises(UserError, match="use auto or float32"):
        train(tiny.network(), tiny.studies(), tiny.training(precision="bfloat16"), Span(0, 1), tiny.seeds())


@pytest.mark.parametrize("capable", [True, False])
def test_a_gpu_is_asked_for_its_own_capability(capable, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: capable)
    monkeypatch.setattr(device, "_cpu_bfloat16", lambda: not capable)
    monkeypatch.setattr(torch, "autocast", lambda kind, dtype, **_: (kind, dtype))
    if capable:
        assert device.autocast("bfloat16", torch.device("cuda")) == ("cuda", torch.bfloat16)
    else:
        with pytest.raises(UserError, match="bfloat16"):
            device.autocast("bfloat16", torch.device("cuda"))


@pytest.mark.parametrize(("available", "kind"), [(True, "cuda"), (False, "cpu")])
def test_a_gpu_is_used_where_there_is_one(available, kind, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert device.pick().type == kind


@pytest.mark.parametrize("encoder", ["pvt_v2_b0", "test_vit"])
def test_training_in_bfloat16_stays_finite_and_keeps_float32_weights(encoder, monkeypatch):
    monkeypatch.setattr(device, "_cpu_bfloat16", lambda: True)  # emulated where it is not there
    net = tiny.network(encoder)
    losses = train(net, tiny.studies(4), tiny.training(precision="bfloat16", epochs=1), Span(0, 1), tiny.seeds())
    assert all(0 < v < 10 for v in losses.values())
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in net.parameters())
