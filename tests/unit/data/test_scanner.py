"""A simulated scanner does what its settings say, the same to the same study, and nothing by default."""

import numpy as np
import pytest

from mtmed.config import parse
from mtmed.data.scanner import draw, simulate
from mtmed.errors import UserError
from mtmed.specs import ScannerSpec

IMAGE = np.clip(np.linspace(-0.1, 1.1, 96 * 80), 0, 1).reshape(96, 80).astype(np.float32)


def seen(image=IMAGE, study="s", **settings):
    return simulate(image, ScannerSpec(**settings), study)


def test_the_default_changes_nothing():
    np.testing.assert_array_equal(seen(), IMAGE)


@pytest.mark.parametrize("seed", range(8))
def test_what_comes_out_is_an_image(seed):
    noise = np.random.default_rng(seed).random((40, 64), np.float32)
    noise[:, :5] = 0
    spec = draw(np.random.default_rng(seed))
    out = simulate(noise, spec.model_copy(update={"blur": 0.0}), "s")
    assert (out.shape, out.dtype) == ((40, 64), np.float32)
    assert np.isfinite(out).all()
    assert out.min() >= 0
    assert out.max() <= 1
    assert not out[:, :5].any(), "padding stays black"


def test_extreme_settings_are_finite():
    for gamma in (0.3, 3):
        for contrast in (0.3, 3):
            out = seen(gamma=gamma, contrast=contrast, noise=0.3, blur=20, bits=2)
            assert np.isfinite(out).all()
            assert len(np.unique(out)) <= 4


def test_noise_is_that_of_the_study():
    np.testing.assert_array_equal(seen(noise=0.1), seen(noise=0.1))
    assert not np.array_equal(seen(noise=0.1), seen(noise=0.1, study="t"))
    flat = np.full((200, 200), 0.25, np.float32)
    assert seen(flat, noise=0.1).std() == pytest.approx(0.1 * 0.5, rel=0.05)


def test_blur_is_relative_to_the_longer_side():
    def spread(size):
        point = np.zeros((size, size // 2), np.float32)
        point[size // 2, size // 4] = 1
        profile = seen(point, blur=10).sum(axis=1)
        return np.sqrt((profile * (np.arange(size) - size // 2) ** 2).sum() / profile.sum()) / size

    assert spread(400) == pytest.approx(0.01, rel=0.05)
    assert spread(800) == pytest.approx(0.01, rel=0.05)


def test_gamma_contrast_and_bits():
    assert seen(gamma=0.5).mean() > IMAGE.mean() > seen(gamma=2).mean()
    ramp = np.linspace(0, 1, 1001, dtype=np.float32).reshape(1, -1)
    curve = seen(ramp, contrast=2)[0]
    np.testing.assert_allclose(curve[[0, 500, 1000]], [0, 0.5, 1], atol=1e-6)
    assert (curve[501] - curve[499]) / 0.002 == pytest.approx(2, rel=0.01)
    assert (np.diff(curve) >= 0).all()
    assert len(np.unique(seen(ramp, bits=4))) == 16


def test_scanners_differ_and_can_be_drawn_again():
    rng = np.random.default_rng(3)
    first, second = draw(rng), draw(rng)
    assert first != second
    assert draw(np.random.default_rng(3)) == first
    assert not np.array_equal(simulate(IMAGE, first, "s"), simulate(IMAGE, second, "s"))


@pytest.mark.parametrize(
    ("site", "text"),
    [
        ({"scaner": {}}, "did you mean 'sites.here.scanner'"),
        (
            {"scanner": {"gama": 1}},
            "'sites.here.scanner.gama': expected one of .*did you mean 'sites.here.scanner.gamma'",
        ),
        ({"scanner": {"gamma": 9}}, "sites.here.scanner.gamma: .*less than or equal to 3, got 9"),
        ({"scanner": {"bits": 2.5}}, "sites.here.scanner.bits: .*valid integer"),
        ({"part": 3}, "sites.here.part: .*valid string"),
    ],
)
def test_a_mistake_in_params_is_one_line(site, text):
    heads = {"a": {"kind": "classification", "classes": ["a"], "modalities": ["chest_xray"]}}
    with pytest.raises(UserError, match=text):
        parse({"sites": {"here": {"dataset": "manifest", "raw": "x", **site}}, "heads": heads})
