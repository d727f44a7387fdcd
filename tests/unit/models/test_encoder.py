"""Any timm model with feature maps will do; what will not is one line."""

import pytest
import timm
import torch
from torch import nn

from mtmed.errors import UserError
from mtmed.models import encoder

SIZE = 64
WIDTHS = {
    "pvt_v2_b0": [16, 8, 4, 2],
    "vit_tiny_patch16_224": [4, 4, 4],
    "swin_tiny_patch4_window7_224": [16, 8, 4, 2],
    "resnet18": [32, 16, 8, 4, 2],
    "edgenext_xx_small": [16, 8, 4, 2],
    "mtmedformer_tiny": [16, 8, 4, 2],
    "mtmedformer_tiny_zero": [16, 8, 4, 2],
}


@pytest.fixture(scope="module", params=WIDTHS)
def built(request):
    return request.param, encoder.build(request.param, SIZE)


def test_maps_are_channels_first_from_fine_to_coarse(built):
    name, model = built
    found = encoder.maps(model.eval(), torch.rand(2, 1, SIZE, SIZE))
    channels = model.feature_info.channels()
    assert [tuple(m.shape) for m in found] == [(2, c, w, w) for c, w in zip(channels, WIDTHS[name], strict=True)]
    assert all(m.isfinite().all() for m in found)


def test_nothing_is_left_to_chance(built):
    _, model = built
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with torch.no_grad():
        encoder.maps(model.train(), torch.rand(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), before)


def test_stochastic_depth_is_switched_off_where_timm_switches_it_on():
    name = "swin_tiny_patch4_window7_224"
    assert any(getattr(m, "drop_prob", 0) for m in timm.create_model(name, features_only=True).modules())
    model = encoder.build(name, SIZE)
    assert not any(getattr(m, "drop_prob", 0) for m in model.modules())
    assert not any(m.p for m in model.modules() if isinstance(m, nn.Dropout))


def test_layer_scales_start_at_one():
    scales = [p for n, p in encoder.build("edgenext_xx_small", SIZE).named_parameters() if ".gamma" in n]
    assert len(scales) > 10
    assert all((p == 1).all() for p in scales)
    timms = timm.create_model("edgenext_xx_small", features_only=True).named_parameters()
    assert all((p < 0.01).all() for n, p in timms if ".gamma" in n)


def test_an_encoder_comes_ready_to_train():
    model = encoder.build("test_resnet", SIZE)
    assert all(m.training for m in model.modules())
    counters = [v for n, v in model.named_buffers() if n.endswith("num_batches_tracked")]
    assert counters
    assert not any(counters), "the probe leaves no trace in the statistics"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pvt_v2_b00", r"unknown model.encoder 'pvt_v2_b00': .*did you mean 'pvt_v2_b0'"),
        ("resnett18", "unknown model.encoder 'resnett18': expected a name of timm.list_models"),
        ("", "unknown model.encoder ''"),
        (
            "crossvit_tiny_240",
            "'crossvit_tiny_240' gives no feature maps at image.size 64 .*such as 'pvt_v2_b0'",
        ),
    ],
)
def test_what_will_not_do_is_one_line(name, expected):
    with pytest.raises(UserError, match=expected) as caught:
        encoder.build(name, SIZE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("a\nb"), AttributeError(), NotImplementedError("c")])
def test_a_model_that_timm_cannot_open_up_is_one_line(error, monkeypatch):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(UserError, match=r"'resnet18' gives no feature maps at image.size 64") as caught:
        encoder.build("resnet18", SIZE)
    assert "\n" not in str(caught.value)
