"""What a head reads where params.yaml does not say: the columns that our manifests use."""

from collections.abc import Collection

from mtmed.data.conditions import Condition
from mtmed.data.mapping import Classification, Detection, Rule, Segmentation
from mtmed.types import HeadSpec

MASKS = {
    "lung_segmentation": "lung_mask",
    "opacity_segmentation": "opacity_mask",
    "lesion_segmentation": "lesion_mask",
    "mass_segmentation": "lesion_mask",
}
WORDS = {
    "pneumonia": (["covid", "pneumonia_other", "pneumonia"], ["normal"]),
    "malignancy": (["malignant"], ["normal", "benign"]),
}


def default_rule(spec: HeadSpec, columns: Collection[str]) -> Rule | None:
    """The rule for a head in a table with these columns, or None: the table does not speak of the head."""
    if spec.kind == "segmentation" and MASKS.get(spec.name) in columns:
        return Segmentation(mask=MASKS[spec.name], where=_located(columns))
    if spec.kind == "detection" and "lesion_boxes" in columns:
        return Detection(boxes="lesion_boxes", complete=_complete(columns))
    if spec.kind == "classification" and spec.name in WORDS and "label" in columns:
        positive, negative = WORDS[spec.name]
        return Classification(column="label", positive={spec.classes[0]: positive}, negative=negative)
    return None


def _located(columns: Collection[str]) -> Condition:
    # mini-MIAS has lesions without a place (*NOTE 3*): an empty mask, but not a breast free of lesions
    return {"location_complete": [True]} if "location_complete" in columns else {}


def _complete(columns: Collection[str]) -> list[Condition]:
    for statement in ("boxes_complete", "location_complete"):
        if statement in columns:  # the table itself says so: nothing is to be inferred
            return [{statement: [True]}]
    return [{"label": ["normal"]}, {"opacity_mask": "present"}]
