"""The command `mtmed`, as a user calls it: results where they belong, and one line for each mistake."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from prefect.settings import PREFECT_API_URL, temporary_settings
from safetensors.torch import save_file
from typer.testing import CliRunner

from flows.cli import app
from mtmed import __version__, checkpoint, phantoms
from mtmed.data import mapping
from mtmed.models.multitask import build
from mtmed.registry import find, names
from mtmed.specs import PhantomSpec
from mtmed.types import Architecture, GlobalModel, HeadSpec

ROOT = Path(__file__).parents[2]
BOTH, CHEST = ("mammography", "chest_xray"), ("chest_xray",)
HEADS = (
    HeadSpec("lesion_segmentation", "segmentation", ("lesion",), BOTH),
    HeadSpec("lung_segmentation", "segmentation", ("lung",), CHEST),
    HeadSpec("lesion_detection", "detection", ("lesion",), BOTH),
    HeadSpec("malignancy", "classification", ("malignant",), ("mammography",)),
    HeadSpec("pneumonia", "classification", ("pneumonia",), CHEST),
)
ARCHITECTURE = Architecture("mtmedformer_tiny", 16, 64, HEADS)


def mtmed(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(result, text):
    """Exit status 2, no traceback, and one line on stderr that matches `text`."""
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert re.match(f"error: .*{text}", lines[0]), lines[0]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model whose masks are neither empty nor full."""
    net = build(ARCHITECTURE)
    with torch.no_grad():
        for head in ("lesion_segmentation", "lung_segmentation"):
            net.heads[head].predictor.bias.fill_(0.4)
    path = tmp_path_factory.mktemp("model") / "global.safetensors"
    state = GlobalModel(7, checkpoint.weights(net), lineage={"config": "abc"}, temperatures={"malignancy": 2.0})
    path.write_bytes(checkpoint.model_bytes(state, ARCHITECTURE))
    return path


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """A phantom with mammograms of 96 pixels, a third of the patients broken."""
    folder = tmp_path_factory.mktemp("raw")
    spec = PhantomSpec(modality="mammography", patients=6, size=96, broken=3, prevalence=0.7)
    phantoms.write(spec, folder)
    return folder


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A PNG that is taller than wide."""
    path = tmp_path_factory.mktemp("films") / "film.png"
    Image.fromarray(noise(0)).save(path)
    return path


def noise(seed, height=80, width=56):
    return np.random.default_rng(seed).integers(0, 255, (height, width), dtype=np.uint8)


def rows(folder):
    with (folder / "manifest.csv").open() as file:
        return list(csv.DictReader(file))


def test_help_is_fast_because_nothing_heavy_is_imported():
    code = "import sys, flows.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "timm", "mlflow", "prefect", "numpy", "pydantic"} & set(loaded.stdout.split())
    assert all(word in mtmed("--help").output for word in ("predict", "evaluate", "doctor", "datasets"))


def test_version_and_datasets():
    assert mtmed("--version").output == f"mtmed {__version__}\n"
    said = mtmed("datasets").output
    assert "rsna_pneumonia  * RSNA Pneumonia: " in said
    assert "manifest          A folder and a CSV" in said
    one = mtmed("datasets", "rsna_pneumonia").output
    assert "stage_2_train_labels.csv: a row per box" in one
    assert "never run on an original" in one
    refused(mtmed("datasets", "rsna"), "unknown data set 'rsna'.*did you mean 'rsna_pneumonia'")


def test_the_cards_in_the_docs_are_those_of_the_readers():
    """Made by: mtmed datasets --markdown > docs/datasets.md"""
    assert (ROOT / "docs/datasets.md").read_text() == mtmed("datasets", "--markdown").output


def test_predict_writes_all_it_names_and_nothing_else(model, hospital, film, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dicom = hospital / rows(hospital)[0]["image"]
    result = mtmed("predict", model, dicom, film, "--out", "deep/out", "--modality", "mammography")
    assert result.exit_code == 0, result.stderr
    named = set()
    for image, size in ((dicom, (96, 96)), (film, (56, 80))):
        said = json.loads((tmp_path / f"deep/out/{image.stem}.json").read_text())
        assert said["heads"].keys() == {"lesion_segmentation", "lesion_detection", "malignancy"}
        assert said["model"] == {
            "address": str(model),
            "round": 7,
            "lineage": {"config": "abc"},
            "temperatures": {"malignancy": 2.0},
        }
        assert (said["width"], said["height"]) == size
        mask = Image.open(tmp_path / "deep/out" / said["heads"]["lesion_segmentation"]["masks"]["lesion"])
        assert mask.size == size
        assert set(np.unique(mask)) <= {0, 255}
        area = said["heads"]["lesion_segmentation"]["area"]["lesion"]
        assert area["pixels"] == (np.asarray(mask) == 255).sum()
        assert (area["mm2"] is None) == (image == film)
        for box in said["heads"]["lesion_detection"]["boxes"]:
            x1, y1, x2, y2 = box["xyxy"]
            assert 0 <= x1 <= x2 <= size[0]
            assert 0 <= y1 <= y2 <= size[1]
        with Image.open(tmp_path / "deep/out" / said["overlay"]) as overlay:
            assert overlay.width >= 380
        masks = said["heads"]["lesion_segmentation"]["masks"].values()
        named |= {f"{image.stem}.json", said["overlay"], *masks}
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {
        f"deep/out/{name}" for name in named
    }


def test_a_map_of_uncertainty_beside_each_mask(model, film, tmp_path):
    def predict(*more):
        words = ("predict", model, film, "--out", tmp_path, "--modality", "chest_xray", *more)
        assert mtmed(*words).exit_code == 0
        return json.loads((tmp_path / "film.json").read_text())["heads"]

    heads = predict("--uncertainty")
    for head, name in (("lesion_segmentation", "lesion"), ("lung_segmentation", "lung")):
        assert heads[head]["entropy"] == {name: f"film.{head}.{name}.entropy.png"}
        grey = np.asarray(Image.open(tmp_path / heads[head]["entropy"][name]))
        mask = np.asarray(Image.open(tmp_path / heads[head]["masks"][name])) == 255
        assert (grey.dtype, grey.shape) == (np.uint8, mask.shape)
        assert grey.max() > 200  # untrained: near 0.5 somewhere
        if mask.any():
            assert 0.5 < heads[head]["confidence"][name] < 1
        else:
            assert heads[head]["confidence"][name] is None
    assert "entropy" not in heads["lesion_detection"]

    assert "entropy" not in predict()["lesion_segmentation"]
    assert not list(tmp_path.glob("*.entropy.png")), "a map of an earlier run is not left beside the new mask"


def test_predict_by_tiles(model, film, tmp_path):
    words = ("predict", model, film, "--out", tmp_path, "--modality", "chest_xray")
    assert mtmed(*words, "--tiles", 64, "--tile-scale", 2, "--tile-overlap", 0.5).exit_code == 0
    said = json.loads((tmp_path / "film.json").read_text())
    assert said["tiles"] == {"size": 64, "overlap": 0.5, "scale": 2, "spacing_mm": None}
    assert said["heads"].keys() == {"lesion_segmentation", "lung_segmentation", "lesion_detection", "pneumonia"}
    with Image.open(tmp_path / "film.lung_segmentation.lung.png") as mask:
        assert mask.size == (56, 80)
    assert mtmed(*words).exit_code == 0
    whole = json.loads((tmp_path / "film.json").read_text())
    assert "tiles" not in whole
    assert whole["heads"]["pneumonia"] == said["heads"]["pneumonia"]
    assert whole["heads"]["lung_segmentation"] != said["heads"]["lung_segmentation"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--tiles", 100), "tiles of 100 pixels: expected a multiple of 32, 64 to 2048"),
        (("--tiles", 64, "--tile-overlap", 0.9), "overlap of tiles 0.9: expected 0.125 to 0.5"),
        (("--tiles", 64, "--tile-scale", 0), "scale of tiles 0"),
        (("--tile-scale", 2), "need --tiles"),
        (("--tiles", 64, "--tile-scale", 2, "--tile-spacing", 0.1), "given twice"),
        (("--tiles", 64, "--tile-spacing", 0.1), ".*film.png: states no mm per pixel.*--tile-scale"),
        (("--tiles", 64, "--tile-scale", 0.1), ".*film.png: image too small"),
    ],
)
def test_tiles_that_are_not_possible(model, film, tmp_path, options, reason):
    refused(mtmed("predict", model, film, "--out", tmp_path, "--modality", "chest_xray", *options), reason)
    assert not list(tmp_path.iterdir())


def test_an_image_that_cannot_be_used_does_not_stop_the_others(model, film, tmp_path):
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(tmp_path / "pixel.png")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.dcm").write_text("")
    odd = [tmp_path / name for name in ("pixel.png", "text.png", "empty.dcm", "nowhere.png", ".")]
    result = mtmed("predict", model, *odd, film, "--out", tmp_path / "out", "--modality", "chest_xray")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    reasons = ["image too small", "unreadable", "empty file", "no such file", "is a folder"]
    assert len(lines) == len(reasons)
    for line, image, reason in zip(lines, odd, reasons, strict=True):
        assert line.startswith(f"error: {image}: {reason}")
    assert (tmp_path / "out/film.json").is_file()
    assert not list((tmp_path / "out").glob("pixel*"))


def test_images_of_one_name_do_not_overwrite_each_other(model, tmp_path):
    images = [tmp_path / f"{folder}/{name}" for folder, name in (("a", "x.png"), ("b", "x.png"), ("b", "X.jpg"))]
    for seed, image in enumerate(images):
        image.parent.mkdir(exist_ok=True)
        Image.fromarray(noise(seed)).save(image)
    out = tmp_path / "out"

    def predict(*some):
        assert mtmed("predict", model, *some, "--out", out, "--modality", "chest_xray").exit_code == 0
        return {p.stem: Path(json.loads(p.read_text())["image"]) for p in out.glob("*.json")}

    whole = predict(*images)
    assert whole == {"x": images[0], "x-2": images[1], "X-3": images[2]}
    assert predict(images[1]) | {"x-2": images[1]} == whole | {"x-2": images[1]}
    assert predict(*images) == whole  # the same images again replace their own results
    assert len(list(out.glob("*.overlay.png"))) == 3


def test_names_in_a_model_file_cannot_leave_the_folder(tmp_path, film):
    spec = HeadSpec("s", "segmentation", ("../../evil", "a/b", "a b"), CHEST)
    architecture = replace(ARCHITECTURE, heads=(spec,))
    net = build(architecture)
    (tmp_path / "m.safetensors").write_bytes(
        checkpoint.model_bytes(GlobalModel(0, checkpoint.weights(net)), architecture)
    )
    assert mtmed("predict", tmp_path / "m.safetensors", film, "--out", tmp_path / "x/y/out").exit_code == 0
    files = sorted(p.name for p in (tmp_path / "x/y/out").iterdir())
    assert files == [
        "film.json",
        "film.overlay.png",
        "film.s.0__evil.png",
        "film.s.1_a_b.png",
        "film.s.2_a_b.png",
    ]


def test_models_that_are_none(film, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_file({"w": torch.zeros(2)}, "other.safetensors")
    Path("text.safetensors").write_text("text, long enough for a header")
    empty = {"mtmed": '{"format": "mtmed/1", "kind": "model"}'}
    save_file({"w": torch.zeros(2)}, "damaged.safetensors", empty)

    def predict(address, *more):
        return mtmed("predict", address, film, "--out", "out", *more)

    refused(predict("nowhere.safetensors"), "no model at nowhere.safetensors")
    refused(predict("."), "is a folder: expected a .safetensors file")
    refused(
        predict("other.safetensors"),
        "other.safetensors is a safetensors file of another kind",
    )
    refused(predict("text.safetensors"), "text.safetensors is not a safetensors file")
    refused(predict("damaged.safetensors"), "damaged.safetensors has an unexpected header")
    refused(predict(film), "is not a safetensors file")
    refused(predict("models:/m@champion"), "needs a store: give --store")
    refused(predict("models:/m@champion", "--store", "sqlite:///no.db"), "no MLflow store at sqlite:///no.db")
    Path("params.yaml").write_text("tracking: {uri: 'sqlite:///absent.db'}")
    refused(predict("models:/m/3"), "no MLflow store at sqlite:///absent.db")
    assert not Path("no.db").exists()
    assert not Path("out").exists()


def test_a_model_of_the_store(model, film, tmp_path, monkeypatch):
    asked = []
    fake = SimpleNamespace(fetch_model=lambda address, uri: asked.append((address, uri)) or model)
    monkeypatch.setitem(sys.modules, "tasks.tracking", fake)
    words = ("models:/mtmed@champion", film, "--out", tmp_path, "--modality", "chest_xray")
    assert mtmed("predict", *words, "--store", "http://127.0.0.1:9").exit_code == 0
    assert asked == [("models:/mtmed@champion", "http://127.0.0.1:9")]
    assert json.loads((tmp_path / "film.json").read_text())["model"]["address"] == "models:/mtmed@champion"


def test_options_that_are_wrong(model, film, tmp_path):
    refused(mtmed("predict", model, film, "--out", film, "--modality", "chest_xray"), "--out .* cannot be made")
    refused(mtmed("predict", model, film, "--out", tmp_path, "--modality", "xray"), "unknown modality 'xray'")
    assert not list(tmp_path.iterdir())


def test_evaluate_agrees_with_the_masks_that_predict_writes(model, hospital, tmp_path):
    result = mtmed("evaluate", model, hospital, "--json", tmp_path / "new/r.json")
    assert result.exit_code == 0, result.stderr
    found = json.loads((tmp_path / "new/r.json").read_text())
    good = [row for row in rows(hospital) if not re.match(r"images/P\d+-00[678]", row["image"])]
    assert found.keys() == {"lesion_segmentation", "lesion_detection", "malignancy", "quarantined"}
    assert found["quarantined"] == 3
    assert result.stderr.count("quarantined: images/") == 3
    assert "lesion_segmentation" in result.stdout
    for head in found.keys() - {"quarantined"}:
        assert (found[head]["images"], found[head]["patients"]) == (len(good), 6)
    images = [hospital / row["image"] for row in good]
    assert mtmed("predict", model, *images, "--out", tmp_path).exit_code == 0
    dice, right = [], []
    for row in good:
        stem = Path(row["image"]).stem
        true = np.asarray(Image.open(hospital / row["lesion_mask"])) > 0
        mask = np.asarray(Image.open(tmp_path / f"{stem}.lesion_segmentation.lesion.png")) > 0
        assert true.shape == mask.shape == (96, 96)
        if true.any():
            dice.append(2 * (true & mask).sum() / (true.sum() + mask.sum()))
        heads = json.loads((tmp_path / f"{stem}.json").read_text())["heads"]
        right.append((row["label"] == "malignant", heads["malignancy"]["probabilities"]["malignant"]))
    assert 0 < found["lesion_segmentation"]["dice"] == pytest.approx(np.mean(dice), abs=1e-6)
    pairs = [(a > b) + 0.5 * (a == b) for t, a in right if t for f, b in right if not f]
    assert found["malignancy"]["auroc"] == pytest.approx(np.mean(pairs), abs=1e-6)


def test_evaluate_measures_at_the_images_own_size(model, tmp_path):
    """A lesion of two pixels in a film of 400: shrunk to 64 pixels it would be of another size."""
    Image.fromarray(noise(0, 400, 300)).save(tmp_path / "a.png")
    mask = np.zeros((400, 300), np.uint8)
    mask[100:102, 50] = 1
    Image.fromarray(mask).save(tmp_path / "m.png")
    (tmp_path / "manifest.csv").write_text("image,patient_id,lung_mask,view\na.png,p,m.png,PA\n")
    assert mtmed("evaluate", model, tmp_path, "--json", tmp_path / "r.json").exit_code == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert found.keys() == {"lung_segmentation", "quarantined"}
    assert mtmed("predict", model, tmp_path / "a.png", "--out", tmp_path, "--modality", "chest_xray").exit_code == 0
    predicted = np.asarray(Image.open(tmp_path / "a.lung_segmentation.lung.png")) > 0
    both = (predicted & (mask > 0)).sum()
    assert found["lung_segmentation"]["dice"] == pytest.approx(2 * both / (predicted.sum() + 2), abs=1e-6)


def test_a_mapping_says_which_columns(model, tmp_path):
    for number in range(3):
        Image.fromarray(noise(number)).save(tmp_path / f"{number}.png")
    lines = ["image,patient_id,view,dx,who", "0.png,p,,sick,us", "1.png,q,,well,us", "2.png,q,,well,them"]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    (tmp_path / "map.yaml").write_text(
        "modality: chest_xray\nwhere: {who: [us]}\n"
        "heads: {pneumonia: {column: dx, positive: {pneumonia: [sick]}, negative: [well]}}"
    )
    words = ("evaluate", model, tmp_path / "m.csv", "--json", tmp_path / "r.json")
    refused(mtmed(*words), "none of 3 rows is labelled for any head of the model")
    assert not (tmp_path / "r.json").exists()
    assert mtmed(*words, "--mapping", tmp_path / "map.yaml").exit_code == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert found.keys() == {"pneumonia", "quarantined"}
    assert (found["pneumonia"]["images"], found["pneumonia"]["patients"]) == (2, 2)
    assert found["pneumonia"]["auroc"] in (0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("heads: {pnemonia: null}", "unknown head 'pnemonia'.*did you mean 'pneumonia'"),
        ("heads: {pneumonia: {column: dx, positive: {pneumonia: [a]}}}", "unknown column 'dx'"),
        ("heads: {pneumonia: {colum: dx}}", "mapping of pneumonia.column: Field required"),
        ("heads: [pneumonia]", "map.yaml: heads: Input should be a valid dictionary"),
        ("head: {}", "unknown key 'head': expected one of heads, modality, where; did you mean 'heads'"),
        ("manifest: x.csv", "unknown key 'manifest'"),
        ("modality: xray", "unknown modality 'xray'"),
        ("{a", "map.yaml is not YAML"),
        ("just a text", "expected the keys where, modality or heads"),
    ],
)
def test_mappings_that_are_wrong(model, tmp_path, text, reason):
    (tmp_path / "manifest.csv").write_text("image,patient_id,label,view\na.png,p,normal,PA\n")
    (tmp_path / "map.yaml").write_text(text)
    words = ("evaluate", model, tmp_path, "--json", tmp_path / "r.json", "--mapping", tmp_path / "map.yaml")
    refused(mtmed(*words), reason)


def test_manifests_that_are_wrong(model, film, tmp_path):
    def evaluate(manifest, out=tmp_path / "r.json", *more):
        return mtmed("evaluate", model, manifest, "--json", out, *more)

    (tmp_path / "manifest.csv").write_text("image,label,view\na.png,normal,PA\n")
    refused(evaluate(tmp_path), "no column 'patient_id'")
    refused(evaluate(tmp_path / "nowhere.csv"), "no table at .*nowhere.csv")
    refused(evaluate(film), "is not a CSV file in UTF-8")
    refused(evaluate(tmp_path, tmp_path), "--json .* is a folder")
    refused(evaluate(tmp_path, film / "r.json"), "--json .* cannot be written")
    refused(evaluate(tmp_path, tmp_path / "r.json", "--mapping", "nowhere.yaml"), "no mapping at nowhere.yaml")
    (tmp_path / "manifest.csv").write_text("image,patient_id,label,view\na.png,p,normal,PA\n")
    result = evaluate(tmp_path)
    assert result.exit_code == 2
    assert "quarantined: a.png: no such file" in result.stderr
    assert "no labelled row can be used" in result.stderr


def test_the_documented_mapping_is_valid():
    text = (ROOT / "docs/mapping.md").read_text()
    example = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.S)[1])
    more = (
        HeadSpec("opacity_segmentation", "segmentation", ("o",), CHEST),
        HeadSpec("heart_size", "regression", ("ratio_percent",), CHEST),
    )
    heads = {h.name: h for h in (*HEADS, *more)}
    assert example.keys() == {"modality", "where", "heads"}
    written = {head: rule for head, rule in example["heads"].items() if rule}
    assert {heads[head].kind for head in written} == set(names("mtmed.data.rules"))
    for head, rule in written.items():
        assert mapping.parse(rule, heads[head])
        known = find("mtmed.data.rules", heads[head].kind, "rule").Rule.model_fields
        assert set(rule) == {name.rstrip("_") for name in known}, "the example shows every key"


def test_measurements_are_predicted_and_evaluated(tmp_path):
    spec = HeadSpec("heart_size", "regression", ("ratio_percent",), CHEST)
    architecture = replace(ARCHITECTURE, heads=(spec,))
    net = build(architecture)
    with torch.no_grad():
        net.heads["heart_size"].predictor.weight.zero_()
        net.heads["heart_size"].predictor.bias.fill_(float(np.log(51)))  # it says 50 of every film
    model = tmp_path / "m.safetensors"
    model.write_bytes(checkpoint.model_bytes(GlobalModel(0, checkpoint.weights(net)), architecture))
    lines = ["image,patient_id,view,ratio_percent"]
    for number, ratio in enumerate(["44", "53", "", "fifty"]):
        Image.fromarray(noise(number)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,p{number},PA,{ratio}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    result = mtmed("evaluate", model, tmp_path, "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.stderr
    assert "quarantined: 3.png: measurement not understood: expected a number in 0 to 1000000" in result.stderr
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["quarantined"] == 1
    size = found["heart_size"]  # the film without a number counts for nothing
    assert (size["images"], size["mae"], size["median_error"]) == (2, *[pytest.approx(4.5, abs=1e-3)] * 2)
    assert mtmed("predict", model, tmp_path / "0.png", "--out", tmp_path / "out").exit_code == 0
    said = json.loads((tmp_path / "out/0.json").read_text())
    assert said["heads"] == {"heart_size": {"measurements": {"ratio_percent": pytest.approx(50, abs=1e-3)}}}


@pytest.mark.parametrize(
    ("folder", "heads"),
    [
        ("cxr_open", {"lung_segmentation": 61, "lesion_detection": 141, "pneumonia": 290}),
        ("cxr_multisite_ncsa", {"lung_segmentation": 66, "pneumonia": 103}),
        ("cxr_opacity_ncsa", {"lung_segmentation": 29, "lesion_detection": 29, "pneumonia": 29}),
        ("mammo_mias", {"lesion_segmentation": 209, "lesion_detection": 209, "malignancy": 212}),
    ],
)
def test_real_manifests(real, model, tmp_path, folder, heads):
    result = mtmed("evaluate", model, real / folder, "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.stderr
    found = json.loads((tmp_path / "r.json").read_text())
    assert found.pop("quarantined") == 0
    assert {head: values["images"] for head, values in found.items()} == heads
    for values in found.values():
        assert all(0 <= v <= 1 for k, v in values.items() if k not in ("images", "patients"))


PARAMS = {
    "sites": {"elm": {"dataset": "manifest", "raw": "data/raw/elm"}},
    "image": {"size": 64},
    "heads": {"pneumonia": {"kind": "classification", "classes": ["pneumonia"], "modalities": ["chest_xray"]}},
    "model": {"encoder": "mtmedformer_tiny", "channels": 16},
    "tracking": {"uri": "sqlite:///mlflow.db"},
}


def examine(folder, monkeypatch, **changes):
    """Exit status, and {name: (status, text)} of the doctor in `folder`."""
    monkeypatch.chdir(folder)
    (folder / "params.yaml").write_text(yaml.safe_dump({**PARAMS, **changes}))
    result = mtmed("doctor")
    lines = [re.fullmatch(r"(ok|warn|FAIL) +(.+?): (.*)", line) for line in result.stdout.splitlines()]
    assert all(lines), result.output
    return result.exit_code, {line[2]: (line[1], line[3]) for line in lines}


def prepared(folder, labelled):
    place = folder / "data/prepared/elm"
    place.mkdir(parents=True)
    counts = {"pneumonia": {"pneumonia": {"labelled": labelled, "positive": 1}}}
    summary = {"studies": 9, "patients": 8, "heads": counts, "quarantined": {"blank image": 2}}
    (place / "summary.json").write_text(json.dumps(summary))


def test_doctor_before_the_first_run(tmp_path, monkeypatch):
    status, found = examine(tmp_path, monkeypatch)
    assert status == 0, found
    assert found["elm raw"][0] == found["elm prepared"][0] == found["mlflow store"][0] == "warn"
    assert "put them there" in found["elm raw"][1]
    assert found["head pneumonia"] == (
        "warn",
        "labelled at no site so far; prepare the other sites: dvc repro",
    )
    for name in ("python", "torch", "prefect", "fastapi", "mlflow", "dvc", "timm", "model", "folder data"):
        assert found[name][0] == "ok", found[name]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["params.yaml"]


def test_doctor_counts_what_is_prepared(tmp_path, monkeypatch):
    prepared(tmp_path, 5)
    status, found = examine(tmp_path, monkeypatch)
    assert status == 0
    assert found["elm prepared"] == (
        "ok", "9 studies of 8 patients, 2 in quarantine; labelled: pneumonia 5"
    )  # fmt: skip
    assert found["head pneumonia"] == ("ok", "labelled at 1 of 1 prepared sites")


def test_doctor_finds_what_would_fail(tmp_path, monkeypatch):
    prepared(tmp_path, 0)
    (tmp_path / "models").write_text("a file, not a folder")
    status, found = examine(tmp_path, monkeypatch, model={"encoder": "pvt_v2_b00", "channels": 16})
    assert status == 1
    assert {name for name, (s, _) in found.items() if s == "FAIL"} == {
        "model",
        "head pneumonia",
        "folder models",
    }
    assert "did you mean" in found["model"][1]
    (tmp_path / "data/prepared/elm/summary.json").write_text("{}")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        status, found = examine(tmp_path, monkeypatch)
    assert found["elm prepared"] == ("FAIL", "summary.json is damaged; dvc repro -f prepare@elm")
    assert found["prefect api"][0] == "FAIL"
    assert "does not answer" in found["prefect api"][1]


def test_doctor_says_what_is_wrong_with_params(tmp_path, monkeypatch):
    status, found = examine(tmp_path, monkeypatch, modell={})
    assert (status, found["params"][0]) == (1, "FAIL")
    assert "did you mean 'model'" in found["params"][1]
    monkeypatch.chdir(tmp_path)
    result = mtmed("doctor", "--params", "nowhere.yaml")
    assert result.exit_code == 1
    assert "no configuration at nowhere.yaml" in result.stdout
