"""MTMedFormer's own encoder: any size of image, places told apart, no statistics of a batch."""

import pytest
import timm
import torch

from mtmed.models import encoder
from mtmed.models.mtmedformer import Residual

NAME, SIZE = "mtmedformer_tiny", 96


@pytest.fixture(scope="module")
def net():
    return built(NAME)


def built(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return encoder.build(name, SIZE).eval()


def noise(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [16, 33, 64, 100, 224])
def test_any_size_of_image_will_do(net, size):
    found = net(noise(1, 1, size, size))
    assert [m.shape[-1] for m in found] == [-(-size // stride) for stride in net.feature_info.reduction()]


def test_maps_of_an_image_do_not_depend_on_its_batch(net):
    images = noise(4, 1, SIZE, SIZE)
    net.train()
    together, alone = net(images), net(images[:1])
    net.eval()
    for some, one in zip(together, alone, strict=True):
        torch.testing.assert_close(some[:1], one, atol=1e-5, rtol=1e-4)
    assert not list(net.buffers())


def test_it_tells_places_apart(net):
    """Without positions, attention would give the same for patches in another order."""
    plain, moved = noise(1, 1, SIZE, SIZE), noise(1, 1, SIZE, SIZE).roll((32, 32), (2, 3))
    before, after = net(plain)[2], net(moved)[2]
    assert (before.roll((2, 2), (2, 3)) - after).abs().max() > 1e-2


def test_timm_knows_it():
    assert timm.is_model(NAME)
    assert timm.create_model(NAME)(noise(1, 3, 64, 64)).shape == (1, 192, 2, 2)


def test_the_other_start_is_the_same_network_whose_residual_blocks_are_their_shortcuts(net):
    still = built(f"{NAME}_zero")
    pairs = zip(net.state_dict().items(), still.state_dict().items(), strict=True)
    differing = {name for (name, usual), (_, value) in pairs if not torch.equal(usual, value)}
    blocks = {name: m for name, m in still.named_modules() if isinstance(m, Residual)}
    assert differing == {f"{name}.second.1.weight" for name in blocks}
    for block in blocks.values():
        x = noise(1, block.first[0][0].in_channels, 8, 8)
        assert torch.equal(block(x), block.shortcut(x).relu())
