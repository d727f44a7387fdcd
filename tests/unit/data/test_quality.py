import numpy as np
import pytest

from mtmed.data import quality
from mtmed.data.quality import BadStudy


def test_blank_image():
    with pytest.raises(BadStudy, match="blank image: expected contrast"):
        quality.check_image(np.full((64, 64), 0.5, np.float32))


def test_image_with_nan():
    image = np.random.default_rng(0).random((64, 64))
    image[3, 3] = np.nan
    with pytest.raises(BadStudy, match="not finite"):
        quality.check_image(image)


def test_small_lesion_on_black_is_no_blank_image():
    image = np.zeros((128, 128), np.float32)
    image[60:70, 60:70] = 1
    quality.check_image(image)


def test_mask_of_another_size():
    with pytest.raises(BadStudy, match=r"expected 64 x 64 \(rows x columns\) as the image, got 50 x 70"):
        quality.check_mask(np.zeros((1, 50, 70)), np.zeros((64, 64)))


def test_box_over_the_edge_is_cut():
    boxes = quality.clip_boxes(np.array([[-5.0, 10, 20, 90]]), height=64, width=80)
    np.testing.assert_array_equal(boxes, [[0, 10, 20, 64]])


@pytest.mark.parametrize("box", [[90, 10, 95, 20], [10, 10, 10, 20], [np.nan, 1, 2, 3], [-9, -9, -1, -1]])
def test_box_outside_is_refused(box):
    with pytest.raises(BadStudy, match="box outside the image: expected x1 y1 x2 y2 within 80 x 64"):
        quality.clip_boxes(np.array([box], float), height=64, width=80)


def test_modality_that_contradicts():
    quality.check_modality("mammography", "MG")
    quality.check_modality("chest_xray", "DX")
    quality.check_modality("chest_xray", None)
    quality.check_modality("mammography", "OT")
    with pytest.raises(BadStudy, match="expected chest_xray, but DICOM says MG"):
        quality.check_modality("chest_xray", "MG")
    with pytest.raises(BadStudy, match="DICOM says CT"):
        quality.check_modality("chest_xray", "CT")
