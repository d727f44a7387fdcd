import numpy as np

from mtmed.data.geometry import letterbox


def test_wide_image_is_padded_not_stretched():
    box = letterbox(50, 100, 64)
    square = box.image(np.ones((50, 100), np.float32))
    assert square.shape == (64, 64)
    assert (square[:16] == 0).all()
    assert (square[48:] == 0).all()
    np.testing.assert_allclose(square[16:48], 1, atol=1e-6)


def test_a_speck_does_not_vanish():
    mask = np.zeros((3000, 2000), bool)
    mask[1500, 1000] = True
    assert letterbox(3000, 2000, 128).mask(mask).any()


def test_an_empty_mask_stays_empty():
    assert not letterbox(300, 200, 64).mask(np.zeros((300, 200), bool)).any()


def test_a_mask_keeps_its_area():
    mask = np.zeros((400, 400), bool)
    mask[100:220, 60:260] = True
    small = letterbox(400, 400, 100).mask(mask)
    assert abs(small.sum() * 16 / mask.sum() - 1) < 0.05


def test_fine_stripes_average_out():
    """Without antialiasing they would become black or white."""
    stripes = np.tile(np.repeat(np.array([0, 1], np.float32), [7, 1]), (512, 64))
    np.testing.assert_allclose(letterbox(512, 512, 64).image(stripes)[:, 4:-4], 1 / 8, atol=0.03)


def test_a_sliver():
    mask = np.zeros((362, 16), bool)
    mask[100:108, 4:12] = True
    assert letterbox(362, 16, 32).mask(mask).sum() == 1


def test_spacing_follows_the_scale():
    assert letterbox(100, 200, 50).spacing((0.1, 0.1)) == (0.4, 0.4)
    assert letterbox(100, 200, 50).spacing(None) is None


def test_a_speck_beside_a_large_lesion_does_not_vanish():
    mask = np.zeros((600, 600), bool)
    mask[100:300, 100:300] = True
    mask[500, 500] = True
    mask[500, 480] = True
    small = letterbox(600, 600, 60).mask(mask)
    assert small[48:52, 47:52].sum() == 2
    assert small[10:30, 10:30].all()
    assert small.sum() == 402
