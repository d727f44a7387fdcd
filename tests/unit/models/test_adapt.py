"""timm's weights made to fit: whatever is in the encoder comes from them, or it is said what they lack."""

import re

import pytest
import timm
import torch

from mtmed.errors import UserError
from mtmed.models import encoder
from mtmed.models.adapt import adapted, floats, unused

SIZE = 64
STEMS = {
    "edgenext_xx_small": "stem.0.weight",
    "mtmedformer_tiny": "stem.0.0.weight",
    "pvt_v2_b0": "patch_embed.proj.weight",
    "test_convnext": "stem.0.weight",
    "test_resnet": "conv1.0.weight",
    "test_vit": "patch_embed.proj.weight",
}


def source(name, seed=3, **options):
    """A state as timm would hand it out: colours, a classifier, timm's own image size; no value as it is drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = timm.create_model(name, **options).state_dict()
        return {k: torch.rand_like(v) if v.is_floating_point() else v for k, v in state.items()}


@pytest.fixture(scope="module", params=STEMS)
def pair(request):
    state = source(request.param)
    return request.param, state, adapted(state, request.param, SIZE)


def test_every_tensor_of_the_encoder_is_there(pair):
    name, _, found = pair
    expected = floats(encoder.build(name, SIZE))
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in expected.items()}


def test_values_are_those_of_the_weights_and_layer_scales_with_them(pair):
    name, state, found = pair
    same = {k: v for k, v in by_timms_names(found).items() if k not in (STEMS[name], "pos_embed")}
    assert len(same) > 10
    assert [k for k, v in same.items() if not torch.equal(v, state[k])] == []
    if name == "edgenext_xx_small":
        assert any(".gamma" in key for key in same)


def by_timms_names(found):
    """As in timm's whole model: its feature extractors flatten or prefix the first levels."""
    return {re.sub(r"^(stem|stages)_(\d)", r"\1.\2", key.removeprefix("model.")): value for key, value in found.items()}


def test_the_colours_of_the_first_layer_are_added(pair):
    name, state, found = pair
    stem = by_timms_names(found)[STEMS[name]]
    assert stem.shape[1] == 1
    torch.testing.assert_close(stem, state[STEMS[name]].sum(1, keepdim=True))


def test_weights_for_one_channel_and_without_a_classifier_are_taken_as_they_are():
    state = source("test_convnext", in_chans=1, num_classes=0)
    assert torch.equal(adapted(state, "test_convnext", SIZE)["stem_0.weight"], state["stem.0.weight"])


def test_position_embeddings_are_resized():
    state = source("test_vit")
    whole, found = state["pos_embed"], by_timms_names(adapted(state, "test_vit", SIZE))["pos_embed"]
    assert whole.shape[1] > found.shape[1]
    assert 0 < found.min() < found.max() < 1.5, "interpolated, not drawn"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s | {"stages.1.blocks.0.norm.bias": torch.zeros(7)},
            r"size mismatch for stages\.1\.blocks\.0\.norm\.bias",
        ),
        (
            lambda s: _without(s, "stages.1.blocks.0.norm.bias"),
            r"they lack 'stages_1\.blocks\.0\.norm\.bias' and 0 more of",
        ),
        (lambda s: {f"other.{k}": v for k, v in s.items()}, r"timm looked for 'other\.stages\.0\.blocks"),
        (lambda _: source("test_resnet"), "timm looked for 'fc.weight' in vain"),
        (lambda s: {"fc.weight": s["head.fc.weight"]}, "do not fit model.encoder 'test_convnext' at image.size 64: "),
        (
            lambda s: s | {"stages.0.blocks.0.gamma": torch.full_like(s["stages.0.blocks.0.gamma"], torch.inf)},
            "not finite",
        ),
    ],
)
def test_what_does_not_fit_is_one_line_with_the_first_tensor(change, message):
    with pytest.raises(UserError, match=message) as caught:
        adapted(change(source("test_convnext")), "test_convnext", SIZE)
    assert "\n" not in str(caught.value)


def _without(state, name):
    assert name in state
    return {k: v for k, v in state.items() if k != name}


def test_tensors_of_a_deeper_network_are_told():
    state = source("resnet34")
    adapted(state, "resnet18", SIZE)
    assert unused(state, "resnet18", SIZE)[0] == "layer1.2.bn1.bias"
    assert unused(source("resnet18"), "resnet18", SIZE) == []


def original(key):
    """The name in the first PVT v2, whose stages' parts stand side by side: patch_embed2, block2, norm2."""
    first = re.sub(r"^patch_embed\.", "patch_embed1.", key)
    stage = re.match(r"stages\.(\d)\.(blocks|downsample|norm)\.(.*)", first)
    if stage is None:
        return first
    part = {"blocks": "block", "downsample": "patch_embed", "norm": "norm"}[stage[2]]
    return f"{part}{int(stage[1]) + 1}.{stage[3]}"


def test_older_names_that_timm_maps_are_no_strangers():
    state = source("pvt_v2_b0")
    older = {original(key): value for key, value in state.items()}
    assert older.keys() - state.keys()
    now, then = (adapted(s, "pvt_v2_b0", SIZE) for s in (state, older))
    assert not [k for k in now if not torch.equal(now[k], then[k])]
    assert unused(older, "pvt_v2_b0", SIZE) == []


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    adapted(source("test_convnext"), "test_convnext", SIZE)
    assert torch.equal(torch.get_rng_state(), before)
