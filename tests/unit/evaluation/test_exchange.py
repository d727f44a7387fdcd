import json

import pytest

from mtmed.errors import UserError
from mtmed.evaluation.exchange import calibration_from_json, from_json, to_json
from mtmed.evaluation.temperature import GRID


def head(**changes):
    whole = {"metrics": {"auroc": 0.8}, "replicates": {}, "calibration": {}, "images": 3, "patients": 2, "unscaled": {}}
    return {k: v for k, v in {**whole, **changes}.items() if v is not ...}


def text(**changes) -> str:
    return json.dumps({"site": "alder", "heads": {"global": {"malignancy": head(**changes)}}})


def test_there_and_back(evaluations):
    for evaluation in evaluations:
        assert from_json(to_json(evaluation)) == evaluation
        assert to_json(from_json(to_json(evaluation))) == to_json(evaluation)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("{", "alder.json is not JSON"),
        ("[]", r"alder.json: expected site, heads, got \[\]"),
        ('{"site": "", "heads": {}}', "alder.json.site: expected a name"),
        (
            '{"site": "a", "heads": {"global": 3}}',
            "alder.json.heads.global: expected names with values, got 3",
        ),
        (text(images=-1), "malignancy.images: expected a count, got -1"),
        (text(patients=True), "malignancy.patients: expected a count, got true"),
        (text(metrics={"auroc": "high"}), "metrics.auroc: expected a finite number"),
        (text(metrics={"auroc": float("nan")}), "NaN is not a number; leave undefined metrics out"),
        (text(metrics={"auroc": 10**400}), "metrics.auroc: expected a finite number"),
        (text(replicates={"auroc": 0.5}), "replicates.auroc: expected a list of numbers"),
        (
            text(replicates={"auroc": [0.5, None]}),
            r"replicates.auroc\[1\]: expected a finite number, got null",
        ),
        (text(calibration={"count": [1]}), "calibration: expected nothing, or count, confidence, frequency"),
        (text(calibration={"count": [1], "confidence": [], "frequency": [1]}), "of one length"),
        (text(images=...), "malignancy has no 'images': it was written by another version"),
        (text(image_ids=["x"]), "unknown field of .*malignancy 'image_ids'.*did you mean 'images'"),
    ],
)
def test_what_is_wrong_is_named(raw, expected):
    with pytest.raises(UserError, match=expected):
        from_json(raw, "alder.json")


def curves(**changes) -> str:
    whole = {"nll": [0.5] * len(GRID), "examples": 3, "images": 2}
    curve = {k: v for k, v in {**whole, **changes}.items() if v is not ...}
    return json.dumps({"site": "alder", "curves": {"global": {"malignancy": curve}}})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("[]", r"alder.json: expected site, curves, got \[\]"),
        (curves(nll=[0.5]), r"malignancy.nll: expected 41 numbers of at least 0, got \[0.5\]"),
        (curves(nll=[-1.0] * len(GRID)), "malignancy.nll: expected 41 numbers of at least 0"),
        (curves(nll=[float("inf")] * len(GRID)), "Infinity is not a number"),
        (curves(images=-1), "malignancy.images: expected a count, got -1"),
        (curves(examples=...), "malignancy has no 'examples'"),
        (curves(patients=["x"]), "unknown field of .*malignancy 'patients'"),
    ],
)
def test_what_is_wrong_with_a_calibration_is_named(raw, expected):
    with pytest.raises(UserError, match=expected):
        calibration_from_json(raw, "alder.json")


def test_a_calibration_there_and_back():
    told = calibration_from_json(curves())
    assert (told.site, told.curves["global"]["malignancy"].examples) == ("alder", 3)
    assert calibration_from_json(to_json(told)) == told
