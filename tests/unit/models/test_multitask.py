"""One encoder, all heads: documented shapes, and weights that depend on the seed alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from mtmed.models import multitask
from mtmed.models.multitask import build, head_of
from tests import tiny

PLACES = (tiny.SIZE // 8) ** 2 + (tiny.SIZE // 16) ** 2 + (tiny.SIZE // 32) ** 2
NAMES = [h.name for h in tiny.HEADS]
ENCODERS = [
    "pvt_v2_b0",
    "vit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "resnet18",
    "edgenext_xx_small",
    "mtmedformer_tiny",
]


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_feeds_every_head(name):
    net = tiny.network(name).eval()
    images = torch.rand(2, 1, tiny.SIZE, tiny.SIZE)
    with torch.no_grad():
        outputs = net(images, NAMES)
    masks, boxes, findings, widths = (outputs[name] for name in NAMES)
    assert masks.shape == (2, 2, tiny.SIZE, tiny.SIZE)
    assert boxes.logits.shape == (2, PLACES, 2)
    assert boxes.distances.shape == (2, PLACES, 4)
    assert boxes.centredness.shape == (2, PLACES)
    assert findings.shape == widths.shape == (2, 2)
    for values in (masks, boxes.logits, boxes.distances, boxes.centredness, findings, widths):
        assert values.isfinite().all()
        assert values.dtype == torch.float32


def test_images_of_the_configured_size_only_by_name():
    net = tiny.network()
    assert net(torch.rand(1, 1, tiny.SIZE, tiny.SIZE), ["malignancy"]).keys() == {"malignancy"}


def test_gain_and_level_of_a_scanner_do_not_matter():
    net = tiny.network().eval()
    images = torch.rand(2, 1, tiny.SIZE, tiny.SIZE) * 0.5
    with torch.no_grad():
        one, two = (net(x, ["malignancy"])["malignancy"] for x in (images, images * 1.6 + 0.1))
    torch.testing.assert_close(one, two, atol=2e-3, rtol=0)
    assert not torch.equal(images, images * 1.6 + 0.1)


def test_a_black_image_gives_finite_outputs():
    outputs = tiny.network()(torch.zeros(1, 1, tiny.SIZE, tiny.SIZE), NAMES)
    assert outputs["malignancy"].isfinite().all()
    assert outputs["lesion_segmentation"].isfinite().all()


def fresh(seed):
    multitask._template.cache_clear()
    return tiny.state(build(tiny.architecture(), seed))


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    one = fresh(0)
    torch.manual_seed(2)
    assert not tiny.differing(one, fresh(0))
    assert tiny.differing(one, fresh(1))


def test_building_leaves_the_global_generator_untouched():
    before = torch.get_rng_state()
    fresh(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_networks_of_one_seed_share_no_memory():
    one, two = tiny.network(), tiny.network()
    with torch.no_grad():
        for p in one.parameters():
            p.add_(1)
    assert len(tiny.differing(tiny.state(one), tiny.state(two))) == len(list(one.parameters()))


def test_threads_build_the_same_network():
    multitask._template.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        nets = list(pool.map(lambda _: tiny.state(tiny.network(seed=5)), range(4)))
    assert not any(tiny.differing(nets[0], n) for n in nets[1:])


@pytest.mark.parametrize(
    ("parameter", "head"),
    [
        ("encoder.stages_0.blocks.0.norm1.weight", None),
        ("heads.malignancy.predictor.bias", "malignancy"),
        ("heads.a.b.c", "a"),
        ("encoder.heads.x", None),
    ],
)
def test_head_of(parameter, head):
    assert head_of(parameter) == head


def test_every_parameter_has_an_owner():
    owners = {head_of(name) for name, _ in tiny.network().named_parameters()}
    assert owners == {None, *NAMES}
