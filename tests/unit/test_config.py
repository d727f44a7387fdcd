"""Every mistake in params.yaml is one line: the thing, what was expected, and the nearest name."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from torch import nn

from mtmed.config import change, load, parse
from mtmed.errors import UserError
from mtmed.heads._reserved import RESERVED

ROOT = Path(__file__).parents[2]
HEAD = {"kind": "segmentation", "classes": ["a"], "modalities": ["chest_xray"]}
SITE = {"dataset": "manifest", "raw": "x"}
GOOD = {
    "phantom": {"alder": {"modality": "mammography", "patients": 9}},
    "sites": {"alder": SITE, "raw": dict(SITE)},
    "heads": {"masks": HEAD},
    "image": {"size": 64},
    "split": {},
    "model": {},
    "training": {},
    "federation": {},
    "strategies": {"bayes": {}, "fedavg": {}},
    "evaluation": {},
    "tracking": {},
}


def with_value(path, value):
    raw = deepcopy(GOOD)
    inner = raw
    *above, last = path.split(":")
    for key in above:
        inner = inner[key]
    inner[last] = value
    return raw


MISTAKES = [
    # a mistyped key, at each depth and in each kind of section
    ("modle", {}, "unknown key 'modle': expected one of evaluation, .*did you mean 'model'"),
    ("phantom:alder:patiens", 3, "'phantom.alder.patiens': .*did you mean 'phantom.alder.patients'"),
    ("sites:alder:datset", "x", "'sites.alder.datset': .*did you mean 'sites.alder.dataset'"),
    (
        "sites:raw:rw",
        "x",
        "'sites.raw.rw': expected one of sites.raw.dataset, .*did you mean 'sites.raw.raw'",
    ),
    ("heads:masks:clases", [], "'heads.masks.clases': .*did you mean 'heads.masks.classes'"),
    ("image:siz", 64, "'image.siz': expected one of image.size; did you mean 'image.size'"),
    ("split:fol", 64, "did you mean 'split.fold'"),
    ("model:encodr", "x", "did you mean 'model.encoder'"),
    ("training:epocs", 1, "did you mean 'training.epochs'"),
    ("federation:round", 1, "did you mean 'federation.rounds'"),
    ("evaluation:overlay", True, "did you mean 'evaluation.overlays'"),
    ("tracking:url", "x", "did you mean 'tracking.uri'"),
    (
        "sites:alder:options",
        {"manifst": "x"},
        "'sites.alder.options.manifst'.*mean 'sites.alder.options.manifest'",
    ),
    ("strategies:bayes:alpa", 1, "unknown option of strategy 'bayes' 'alpa': .*did you mean 'alpha'"),
    ("strategies:bayes:needs_precision", 1, "unknown option of strategy 'bayes' 'needs_precision'"),
    ("strategies:fedavg:alpha", 1, r"unknown option of strategy 'fedavg' 'alpha': expected one of \(none\)"),
    # an unknown name
    ("federation:strategy", "bays", "unknown strategy 'bays': expected one of bayes, .*did you mean 'bayes'"),
    ("strategies:fedavgg", {}, "unknown strategy 'fedavgg': .*did you mean 'fedavg'"),
    ("strategies:mine", {"merge": "medain"}, "unknown merge 'medain': .*did you mean 'median'"),
    ("strategies:mine", {"merge": "median", "server": "adm"}, "unknown server 'adm': .*did you mean 'adam'"),
    ("strategies:mine", {"merge": 3}, "strategies.mine.merge: expected a name, got 3"),
    ("heads:masks:kind", "segmentatoin", "unknown head kind 'segmentatoin': .*did you mean 'segmentation'"),
    ("heads:masks:modalities", ["chest-xray"], "unknown modality 'chest-xray': .*did you mean 'chest_xray'"),
    ("phantom:alder:modality", "ct", "unknown modality 'ct': expected one of chest_xray, mammography"),
    ("sites:alder:dataset", "manifst", "unknown data set 'manifst': .*did you mean 'manifest'"),
    ("sites:alder:options", {"modality": "mamography"}, "unknown modality 'mamography': .*did you mean"),
    # an impossible value
    ("federation:rounds", -1, "federation.rounds: .*greater than or equal to 1, got -1"),
    ("federation:rounds", "ten", "federation.rounds: .*valid integer.*got 'ten'"),
    ("federation:dispatch", "cloud", "federation.dispatch: .*'local' or 'deployments', got 'cloud'"),
    (
        "federation:dispatch",
        "deployments",
        "'pooled' is refused with federation.dispatch 'deployments'.*leave it out",
    ),
    ("evaluation:references", ["pool"], "evaluation.references.0: .*'pooled'.*got 'pool'"),
    ("training:learning_rate", 0, "training.learning_rate: .*greater than 0"),
    ("training:learning_rate", float("inf"), "training.learning_rate: .*finite number"),
    ("training:learning_rate", float("nan"), "training.learning_rate: .*finite number"),
    ("training:precision", "float16", "training.precision: .*'bfloat16', got 'float16'"),
    ("training:fisher_images", 65, "training.fisher_images: .*less than or equal to 64, got 65"),
    ("image:size", 100, "image.size: .*multiple of 32, got 100"),
    ("split:fold", 5, "fold 5 of 5: folds are counted from 0 to 4"),
    ("phantom:alder:patients", 1, "phantom.alder.patients: .*greater than or equal to 5, got 1"),
    ("strategies:bayes:alpha", -1, "strategies.bayes.alpha: expected a number from 0 up, got -1"),
    ("strategies:bayes:alpha", "much", "strategies.bayes.alpha: expected a number, got 'much'"),
    ("strategies:bayes", None, "strategies.bayes: .*dictionary"),
    ("sites:alder:options", {"where": 3}, "sites.alder.options.where: .*dictionary, got 3"),
    ("heads:masks:classes", [], "heads.masks.classes: expected one or several different names"),
    ("heads:masks:classes", ["a", "a"], r"heads.masks.classes: .*got \['a', 'a'\]"),
    ("heads:masks:classes", "a", "heads.masks.classes: .*got 'a'"),
    (
        "heads:masks:modalities",
        [],
        "heads.masks.modalities: expected at least one of chest_xray, mammography, ultrasound",
    ),
    ("heads:masks:weight", 0, "heads.masks.weight: expected a finite number above 0, got 0"),
    ("heads:masks:weight", -2, "heads.masks.weight: expected a finite number above 0, got -2"),
    ("model:pretrained", "best", "model.pretrained: expected hub, or a file below weights/.*; got best"),
    ("model:pretrained", "/data/w.pth", "expected hub, or a file below weights/, whose changes dvc.yaml watches"),
    ("model:pretrained", "weights/../w.pth", "expected hub, or a file below weights/"),
    ("model:pretrained", "weights", "expected hub, or a file below weights/"),
    ("model:pretrained_missing", "ignore", "model.pretrained_missing: .*'error' or 'scratch', got 'ignore'"),
    ("training", {"freeze_encoder": True}, "training.freeze_encoder: expected model.pretrained"),
    # something missing, empty, or of the wrong shape
    ("sites", {}, "sites: .*at least 1 item"),
    ("heads", {}, "heads: .*at least 1 item"),
    ("heads", None, "heads: .*dictionary"),
    ("heads:other", {"kind": "detection", "classes": ["a"]}, "heads.other.modalities: Field required"),
    ("sites:alder", None, "sites.alder: .*dictionary"),
    ("image", [64], "image: .*dictionary"),
    # names that would become parts of paths or of parameters' names
    ("sites:../alder", SITE, "site name '../alder': expected letters, digits, _ and -"),
    ("sites:global", SITE, "site name 'global' is used by mtmed itself"),
    ("phantom:a b", {"modality": "mammography", "patients": 9}, "phantom name 'a b': expected letters"),
    ("heads:lung.left", HEAD, "head name 'lung.left': expected letters"),
    ("heads:encoder", HEAD, "head name 'encoder' is used by mtmed itself"),
    ("heads:values", HEAD, "head name 'values' is used by mtmed itself"),
    ("heads:", HEAD, "head name '': expected letters"),
]


@pytest.mark.parametrize(("path", "value", "expected"), MISTAKES, ids=[f"{p}={v}" for p, v, _ in MISTAKES])
def test_a_mistake_is_one_line(path, value, expected):
    with pytest.raises(UserError, match=expected) as caught:
        parse(with_value(path, value), "params.yaml")
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_a_mistyped_key_comes_before_the_key_that_it_leaves_missing():
    raw = {"sitez" if key == "sites" else key: value for key, value in GOOD.items()}
    with pytest.raises(UserError, match=r"unknown key 'sitez': .*did you mean 'sites'"):
        parse(raw)
    head = {"classes": ["a"], "modalities": ["chest_xray"], "kinds": "segmentation"}
    with pytest.raises(UserError, match=r"did you mean 'heads\.masks\.kind'"):
        parse(with_value("heads:masks", head))
    with pytest.raises(UserError, match=r"^the configuration: sites: Field required$"):
        parse({key: value for key, value in GOOD.items() if key != "sites"})


def test_the_names_that_torch_has_for_itself_are_reserved():
    assert {name for name in dir(nn.ModuleDict()) if not name.startswith("_")} <= RESERVED


def test_data_are_prepared_without_waiting_for_torch():
    code = "import sys, flows.prepare as p; p.load('params.yaml'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_numbers_as_keys_are_one_line():
    for raw in (GOOD | {1: 2}, GOOD | {"heads": {1: HEAD}}):
        with pytest.raises(UserError, match="string") as caught:
            parse(raw)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"holds no sections: expected sites, heads"),
        ("- a\n- b", r"holds no sections"),
        ("just words", r"holds no sections"),
        ("sites: [", r"params\.yaml is not YAML: .*line 1"),
        ("a: 1\n\tb: 2", r"is not YAML"),
    ],
)
def test_a_file_that_says_nothing_is_one_line(text, expected, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=expected) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no configuration at .*nowhere.yaml: run from the project's folder"):
        load(tmp_path / "nowhere.yaml")


def test_a_good_configuration_is_good():
    config = parse(GOOD)
    assert config.heads["masks"].name == "masks"
    assert config.architecture.heads == (config.heads["masks"],)
    assert config.architecture.image_size == 64
    assert parse(config.model_dump(mode="json")) == config, "as it travels in a job"


def test_a_value_is_changed_by_its_dotted_key():
    raw = deepcopy(GOOD)
    change(raw, "training.epochs", "3")
    change(raw, "strategies.fedavg.server", "plain")
    assert parse(raw).training.epochs == 3
    assert raw["strategies"] == {"bayes": {}, "fedavg": {"server": "plain"}}
    with pytest.raises(UserError, match=r"training.epochs.x: .* epochs is a value itself, 3"):
        change(raw, "training.epochs.x", 1)
    change(raw, "traning.epochs", 3)
    with pytest.raises(UserError, match="traning"):
        parse(raw)


def test_a_configuration_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        parse(GOOD).image.size = 32


@pytest.mark.parametrize("path", sorted(ROOT.glob("**/params.yaml")), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_configurations_of_the_repository_are_good(path):
    config = load(path)
    assert config.sites
    assert parse(yaml.safe_load(path.read_text())) == config


def test_there_is_a_configuration_in_the_repository():
    assert (ROOT / "params.yaml").is_file()
