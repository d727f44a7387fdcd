"""The name of a federation's state: it changes with all that the weights depend on, and with nothing else."""

from copy import deepcopy

import pytest

from mtmed import lineage
from mtmed.config import parse

HEAD = {"kind": "segmentation", "classes": ["a"], "modalities": ["chest_xray"]}
RAW = {
    "sites": {name: {"dataset": "manifest", "raw": f"data/{name}"} for name in ("alder", "birch")},
    "heads": {"masks": HEAD},
    "strategies": {"bayes": {"alpha": 0.1}},
    **{part: {} for part in ("image", "model", "training", "federation", "evaluation", "tracking", "phantom")},
}
DATA = {"alder": "1.dir", "birch": "2.dir"}


def key(path="", value=None, strategy="bayes", data=DATA):
    raw = deepcopy(RAW)
    if path:
        *above, last = path.split(".")
        inner = raw
        for part in above:
            inner = inner[part]
        inner[last] = value
    return lineage.run_key(parse(raw), strategy, data)


def test_the_key_is_short_and_stable():
    assert key() == key()
    assert len(key()) == 16
    int(key(), 16)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("federation.seed", 1),
        ("federation.rounds", 3),
        ("training.learning_rate", 0.5),
        ("training.augment", False),
        ("model.channels", 64),
        ("model.encoder", "resnet18"),
        ("model.pretrained", "sha256:" + 64 * "0"),
        ("image.size", 64),
        ("heads.masks.weight", 2.0),
        ("heads.masks.classes", ["b"]),
        ("heads.more", HEAD),
        ("strategies.bayes.alpha", 0.2),
        ("sites.cedar", {"dataset": "manifest", "raw": "x"}),
    ],
)
def test_another_configuration_is_another_key(path, value):
    assert key(path, value) != key()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("federation.concurrency", 7),
        ("federation.exchange", "elsewhere"),
        ("federation.timeout_s", 5),
        ("evaluation.replicates", 3),
        ("tracking.uri", "x"),
        ("strategies.fedavg", {}),
        ("sites.alder.raw", "elsewhere"),
    ],
)
def test_where_and_how_the_sites_run_is_of_no_account(path, value):
    assert key(path, value) == key()


def test_dispatch_is_of_no_account():
    raw = RAW | {"federation": {"dispatch": "deployments"}, "evaluation": {"references": ["local"]}}
    assert lineage.run_key(parse(raw), "bayes", DATA) == key()


def test_strategy_data_and_code_are_of_account(monkeypatch):
    others = [key(strategy="fedavg"), key(data=DATA | {"alder": "3.dir"}), key(data={"alder": "1.dir"})]
    monkeypatch.setattr(lineage, "code", lambda: "another")
    assert len({*others, key(), key(strategy="local")}) == 5
    monkeypatch.undo()
    assert key() not in others


def test_options_of_other_strategies_are_of_no_account():
    assert key("strategies.bayes.alpha", 0.2, strategy="fedavg") == key(strategy="fedavg")


def test_the_order_of_sites_is_of_no_account():
    turned = RAW | {"sites": dict(reversed(RAW["sites"].items()))}
    assert lineage.run_key(parse(turned), "bayes", dict(reversed(DATA.items()))) == key()


def test_the_code_is_that_of_training_and_not_of_the_report(tmp_path, monkeypatch):
    for part in ("training/local.py", "heads/x.py", "evaluation/page.py", "__init__.py"):
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (tmp_path / part).write_text("a = 1\n")
    monkeypatch.setattr(lineage, "__file__", str(tmp_path / "lineage.py"))

    def code():
        return lineage.code.__wrapped__()

    first = code()
    (tmp_path / "evaluation/page.py").write_text("a = 2\n")
    assert code() == first
    (tmp_path / "training/local.py").write_text("a = 2\n")
    second = code()
    (tmp_path / "heads/x.py").rename(tmp_path / "heads/y.py")
    assert len({first, second, code()}) == 3
