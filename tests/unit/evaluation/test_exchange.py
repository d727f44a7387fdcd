import json

import pytest

from mtmed.errors import UserError
from mtmed.evaluation.exchange import from_json, to_json


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
