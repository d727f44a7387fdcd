"""What a model says of an image file: in the pixels of that file, whatever its format and shape."""

import io
import json

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image

from mtmed import phantoms
from mtmed.data import pixels
from mtmed.data.geometry import letterbox
from mtmed.data.quality import BadStudy
from mtmed.errors import UserError
from mtmed.evaluation import prediction_picture
from mtmed.inference import Finding, Prediction, own_size, predict_file
from mtmed.models.multitask import build
from mtmed.specs import PhantomSpec
from mtmed.types import Architecture, Boxes, HeadSpec

BOTH = ("mammography", "chest_xray")
HEADS = (
    HeadSpec("lesion_segmentation", "segmentation", ("lesion", "other"), BOTH),
    HeadSpec("lesion_detection", "detection", ("lesion",), BOTH),
    HeadSpec("malignancy", "classification", ("malignant",), ("mammography",)),
    HeadSpec("pneumonia", "classification", ("pneumonia",), ("chest_xray",)),
)


@pytest.fixture(scope="module")
def net():
    return build(Architecture("mtmedformer_tiny", 16, 64, HEADS)).eval()


@pytest.fixture(scope="module")
def mammograms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    phantoms.write(PhantomSpec(modality="mammography", patients=5, size=96), folder)
    return sorted((folder / "images").iterdir())


def png(path, height=90, width=50, seed=0):
    values = np.random.default_rng(seed).integers(0, 255, (height, width), dtype=np.uint8)
    Image.fromarray(values).save(path)
    return path


def test_everything_is_in_the_pixels_of_the_file(net, tmp_path):
    found = predict_file(net, png(tmp_path / "tall.png"), "chest_xray")
    assert list(found.findings) == ["lesion_segmentation", "lesion_detection", "pneumonia"]
    masks = found.findings["lesion_segmentation"].masks
    assert {name: values.shape for name, values in masks.items()} == {"lesion": (90, 50), "other": (90, 50)}
    boxes = np.array([box["xyxy"] for box in found.findings["lesion_detection"].boxes])
    assert len(boxes)
    assert boxes.min() >= 0
    assert boxes[:, [0, 2]].max() <= 50
    assert 50 < boxes[:, [1, 3]].max() <= 90
    scores = [box["score"] for box in found.findings["lesion_detection"].boxes]
    assert scores == sorted(scores, reverse=True)


def test_a_file_of_another_format_says_the_same(net, mammograms, tmp_path):
    for number, dicom in enumerate(mammograms[:3]):
        shown = pixels.read(dicom).image
        Image.fromarray(np.round(shown * 255).astype(np.uint8)).save(tmp_path / f"{number}.png")
        a = predict_file(net, dicom)
        b = predict_file(net, tmp_path / f"{number}.png", "mammography")
        header = pydicom.dcmread(dicom)
        assert (a.modality, b.spacing_mm) == ("mammography", None)
        assert a.spacing_mm == pytest.approx(header.ImagerPixelSpacing, rel=0.2)  # less by the magnification, if stated
        assert a.findings["malignancy"].probabilities["malignant"] == pytest.approx(
            b.findings["malignancy"].probabilities["malignant"], abs=0.01
        )
        for name, values in a.findings["lesion_segmentation"].masks.items():
            np.testing.assert_allclose(values, b.findings["lesion_segmentation"].masks[name], atol=0.03)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (90, 50), (50, 333), (17, 400)])
def test_boxes_and_maps_find_back(height, width):
    box = letterbox(height, width, 64)
    true = np.array([[3, 2, width - 5, height - 4]], np.float32)
    back = own_size(Boxes(torch.from_numpy(box.boxes(true)), torch.zeros(1, dtype=torch.int64)), box)
    np.testing.assert_allclose(back.xyxy, true, atol=1e-3)
    inside = np.zeros((height, width), bool)
    inside[:, : width // 2] = True
    share = own_size(torch.from_numpy(box.mask(inside)[None].astype(np.float32)), box)[0] > 0.5
    assert share.shape == (height, width)
    assert float((share.numpy() == inside).mean()) > 0.95
    assert own_size(torch.tensor([0.5]), box).tolist() == [0.5]


def test_the_summary_is_json_and_counts_areas(net, mammograms):
    found = predict_file(net, mammograms[0])
    said = json.loads(json.dumps(found.as_dict()))
    area = said["heads"]["lesion_segmentation"]["area"]["lesion"]
    inside = int((found.findings["lesion_segmentation"].masks["lesion"] > 0.5).sum())
    assert area == {"pixels": inside, "share": inside / 96**2, "mm2": inside * 2.5**2}
    assert said["heads"].keys() == {"lesion_segmentation", "lesion_detection", "malignancy"}


def test_modality_must_be_known_and_served(net, mammograms, tmp_path):
    picture = png(tmp_path / "a.png")
    with pytest.raises(UserError, match="give --modality chest_xray or mammography"):
        predict_file(net, picture)
    with pytest.raises(UserError, match="wrong modality: expected chest_xray, but DICOM says MG"):
        predict_file(net, mammograms[0], "chest_xray")
    with pytest.raises(UserError, match=r"unknown modality 'mamography'.*did you mean 'mammography'"):
        predict_file(net, picture, "mamography")
    one = build(Architecture("mtmedformer_tiny", 16, 64, HEADS[3:])).eval()
    assert predict_file(one, picture).modality == "chest_xray"
    with pytest.raises(UserError, match="the model has no head for mammography: it serves chest_xray"):
        predict_file(one, mammograms[0])


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (15, 100)])
def test_too_small_an_image(net, tmp_path, size):
    with pytest.raises(BadStudy, match="image too small"):
        predict_file(net, png(tmp_path / "a.png", *size), "chest_xray")


def test_measurements_have_their_own_place(tmp_path):
    spec = HeadSpec("lesion_size", "regression", ("diameter_mm", "depth_mm"), ("chest_xray",))
    net = build(Architecture("mtmedformer_tiny", 16, 64, (spec,))).eval()
    with torch.no_grad():
        net.heads["lesion_size"].predictor.weight.zero_()
        net.heads["lesion_size"].predictor.bias.copy_(torch.tensor([13.0, 1.0]).log())  # what is learnt is log(1 + y)
    found = predict_file(net, png(tmp_path / "a.png"))
    assert found.findings["lesion_size"].measurements == {
        "diameter_mm": pytest.approx(12),
        "depth_mm": pytest.approx(0),
    }
    assert found.as_dict()["heads"] == {"lesion_size": {"measurements": found.findings["lesion_size"].measurements}}
    lines = [text for _, text in prediction_picture._lines(found)]
    assert lines == ["lesion size: diameter_mm 12.0", "lesion size: depth_mm 0.0"]
    assert Image.open(io.BytesIO(prediction_picture.draw(found))).width >= 380


@pytest.mark.parametrize(("height", "width"), [(90, 50), (16, 3000), (2100, 1100)])
def test_the_picture_keeps_the_aspect_and_draws_what_was_found(height, width):
    mask = np.zeros((height, width), np.float32)
    empty = Finding({"lesion": mask}, [], {})
    mask = mask.copy()
    mask[: height // 2, : width // 3] = 1
    boxes = [{"class": "a $x", "score": s, "xyxy": [1.0, 2.0, width / 2, height / 2]} for s in (0.9, 0.1)]
    image = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)

    def draw(finding):
        found = {"seg": finding, "det": Finding({}, boxes, {}), "c": Finding({}, [], {"yes": 0.5})}
        drawn = prediction_picture.draw(Prediction(image, "chest_xray", found))
        picture = Image.open(io.BytesIO(drawn)).convert("RGB")
        return picture.size, np.asarray(picture)[: round(height * picture.width / width)]

    size, without = draw(empty)
    assert size[0] >= min(380, width)
    assert max(size) <= 1024 + 200
    assert (draw(Finding({"lesion": mask}, [], {}))[1] != without).any()
    assert (np.ptp(without.astype(int), axis=2) > 60).any()  # the box, in colour on grey
