"""The manifest reader: which labels are known, which are not, and what it says of a wrong table."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from mtmed.data.quality import BadStudy
from mtmed.datasets.manifest import Options, studies
from mtmed.errors import UserError
from mtmed.types import HeadSpec

BOTH = ("mammography", "chest_xray")
HEADS = {
    spec.name: spec
    for spec in (
        HeadSpec("lesion_segmentation", "segmentation", ("lesion",), BOTH),
        HeadSpec("opacity_segmentation", "segmentation", ("ground_glass", "consolidation"), ("chest_xray",)),
        HeadSpec("lung_segmentation", "segmentation", ("lung",), ("chest_xray",)),
        HeadSpec("lesion_detection", "detection", ("lesion",), BOTH),
        HeadSpec("malignancy", "classification", ("malignant",), ("mammography",)),
        HeadSpec("pneumonia", "classification", ("pneumonia",), ("chest_xray",)),
    )
}
BOX = json.dumps([{"label": "mass", "xywh": [1, 2, 3, 4]}])


def table(folder, *rows, name="manifest.csv"):
    columns = list(dict.fromkeys(column for row in rows for column in row))
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def row(number=0, **cells):
    return {"image": f"images/{number}.png", "patient_id": f"p{number}", **cells}


def read(folder, **options):
    return list(studies(folder, Options.model_validate(options), HEADS))


def known(study):
    return {head for head, labelled in study.labelled.items() if labelled.any()}


def test_an_empty_cell_is_not_a_negative(tmp_path):
    table(tmp_path, row(view="PA", label="", lesion_mask="", lesion_boxes="[]", boxes_complete="False"))
    assert known(read(tmp_path)[0]) == set()


def test_boxes_that_are_complete_or_not(tmp_path):
    table(
        tmp_path,
        row(0, view="PA", lesion_boxes="[]", boxes_complete="True"),
        row(1, view="PA", lesion_boxes="[]", boxes_complete="False", label="normal"),
        row(2, view="PA", lesion_boxes=BOX, boxes_complete="False"),
    )
    complete, withheld, found = read(tmp_path)
    assert len(complete.boxes["lesion_detection"][0]) == 0
    assert "lesion_detection" not in withheld.labelled
    np.testing.assert_array_equal(found.boxes["lesion_detection"][0], [[1, 2, 4, 6]])


def test_boxes_without_a_statement_are_complete_where_nothing_is_to_be_found(tmp_path):
    table(
        tmp_path,
        row(0, view="PA", lesion_boxes="[]", label="normal", opacity_mask=""),
        row(1, view="PA", lesion_boxes="[]", label="pneumonia_other", opacity_mask=""),
        row(2, view="PA", lesion_boxes="[]", label="covid", opacity_mask="masks/2.png"),
    )
    assert ["lesion_detection" in s.labelled for s in read(tmp_path)] == [True, False, True]


def test_a_lesion_without_a_place_is_not_a_negative(tmp_path):
    """mini-MIAS NOTE 3: malignant, but the mask is all zero."""
    cells = {"view": "MLO", "label": "malignant", "lesion_mask": "m.png", "lesion_boxes": "[]"}
    table(tmp_path, row(location_complete="False", **cells))
    assert known(read(tmp_path)[0]) == {"malignancy"}


def test_a_head_reads_its_own_modality_only(tmp_path):
    table(tmp_path, row(0, view="CC", label="normal"), row(1, view="PA", label="normal"))
    assert [known(s) for s in read(tmp_path)] == [{"malignancy"}, {"pneumonia"}]
    assert [s.modality for s in read(tmp_path)] == ["mammography", "chest_xray"]
    assert {s.modality for s in read(tmp_path, modality="chest_xray")} == {"chest_xray"}


def test_words_that_no_rule_knows_are_unknown(tmp_path):
    table(tmp_path, row(0, view="CC", label="suspicious"), row(1, view="CC", label="Benign"))
    unknown, benign = read(tmp_path)
    assert known(unknown) == set()
    assert not benign.values["malignancy"].any()


def test_a_class_that_a_rule_does_not_name_is_not_labelled(tmp_path):
    table(tmp_path, row(view="PA", opacity_mask="m.png"))
    Image.fromarray(np.eye(20, dtype=np.uint8) * 2).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read(tmp_path)[0].labelled["opacity_segmentation"], [True, False])
    heads = {"opacity_segmentation": {"mask": "opacity_mask", "values": {"consolidation": [2]}}}
    study = read(tmp_path, heads=heads)[0]
    np.testing.assert_array_equal(study.labelled["opacity_segmentation"], [False, True])
    drawn = study.masks["opacity_segmentation"]((20, 20))
    assert not drawn[0].any()
    np.testing.assert_array_equal(drawn[1], np.eye(20, dtype=bool))
    with pytest.raises(BadStudy, match="mask of another size"):
        study.masks["opacity_segmentation"]((20, 21))


def test_rules_of_the_user(tmp_path):
    table(tmp_path, row(0, view="PA", dx="a", b=BOX, sure="yes"), row(1, view="PA", dx="c", b="", sure="no"))
    heads = {
        "pneumonia": {"column": "dx", "positive": {"pneumonia": ["a", "b"]}, "negative": ["c"]},
        "lesion_detection": {"boxes": "b", "labels": {"lesion": ["nodule"]}, "complete": [{"sure": ["no"]}]},
    }
    first, second = read(tmp_path, heads=heads)
    assert first.values["pneumonia"].all()
    assert not second.values["pneumonia"].any()
    assert "lesion_detection" not in first.labelled  # a mass is no nodule, and other boxes may be missing
    assert len(second.boxes["lesion_detection"][0]) == 0


def test_null_leaves_a_head_unlabelled(tmp_path):
    table(tmp_path, row(view="PA", label="normal"))
    assert known(read(tmp_path, heads={"pneumonia": None})[0]) == set()


def test_several_manifests_and_a_filter(tmp_path):
    table(tmp_path, row(0, source="x", view="PA"), row(1, source="y"), name="a/manifest.csv")
    table(tmp_path, row(0, source="x", view="PA"), name="b/manifest.csv")
    found = read(tmp_path, manifest=["a/manifest.csv", "b/manifest.csv"], where={"source": ["x"]})
    assert [s.study for s in found] == ["a/images/0.png", "b/images/0.png"]
    assert [s.image for s in found] == [tmp_path / "a/images/0.png", tmp_path / "b/images/0.png"]


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "images/../../x.png", "..\\x.png"])
def test_a_path_that_leads_out_is_a_fault_of_its_row(tmp_path, path):
    table(tmp_path, {"image": path, "patient_id": "p"}, row(1, view="PA", lung_mask=path), row(2, view="PA"))
    out, mask, good = read(tmp_path)
    assert out.fault == mask.fault == "path that leads out: expected one inside the manifest's folder, relative to it"
    assert out.image == tmp_path  # no file, whatever the row says
    assert good.fault == ""
    with pytest.raises(UserError, match="path that leads out"):
        read(tmp_path, manifest=path)


def test_broken_cells_are_a_fault_of_one_study(tmp_path):
    table(
        tmp_path,
        row(0, view="PA", lesion_boxes="{not json"),
        {"image": "images/1.png", "patient_id": "", "view": "PA", "lesion_boxes": "[]"},
        row(2, view="PA", lesion_boxes="[]"),
    )
    faults = [s.fault for s in read(tmp_path)]
    assert "boxes not understood" in faults[0]
    assert "no patient_id" in faults[1]
    assert faults[2] == ""


def test_a_cell_that_is_not_understood_ends_no_run_and_is_not_quoted(tmp_path):
    table(
        tmp_path,
        {"image": "", "patient_id": "a", "modality": "chest_xray"},
        {"image": "", "patient_id": "b", "modality": "chest_xray"},
        row(2, modality="Mueller^Hans"),
        row(3, modality="chest_xray", note="x" * 200_000),
    )
    faults = [s.fault for s in read(tmp_path)]
    assert faults[:2] == ["no path: expected one relative to the manifest"] * 2
    assert faults[2].startswith("modality not understood: expected one of chest_xray")
    assert "ueller" not in faults[2]
    assert faults[3] == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image;patient_id\na.png;p\n", "expected columns separated by ',', found ';'"),
        ("image,patientid\na.png,p\n", "no column 'patient_id'; found 'image', 'patientid'; is it 'patientid'"),
        ("", "an empty line or file"),
        ("image,patient_id,view\na.png,p,PA,x\n", "line 2: expected 3 cells as in the header, found 4"),
        ("image,patient_id,view\na.png,p,PA\na.png,p,PA\n", "row 3: its image is listed twice"),
        ("image,patient_id\na.png,p\n", "no column modality or view: add one, or say options.modality"),
    ],
)
def test_a_table_that_is_not_as_expected(tmp_path, text, reason):
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(UserError, match=reason):
        read(tmp_path)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"manifest": "other.csv"}, "no table at .*other.csv"),
        ({"where": {"sorce": ["x"]}}, "unknown column 'sorce'.*did you mean 'source'"),
        ({"heads": {"pnemonia": {}}}, "unknown head 'pnemonia'.*did you mean 'pneumonia'"),
        ({"heads": {"pneumonia": {"colum": "x"}}}, "mapping of pneumonia.column: Field required"),
        ({"heads": {"pneumonia": {"column": "dx", "positive": {"pneumonia": ["a"]}}}}, "unknown column 'dx'"),
        ({"heads": {"pneumonia": {"column": "source", "positive": {"flu": ["a"]}}}}, "unknown class.*'flu'"),
        ({"modality": "mamography"}, "unknown modality 'mamography'.*did you mean 'mammography'"),
    ],
)  # fmt: skip
def test_options_that_are_not_as_expected(tmp_path, options, reason):
    table(tmp_path, row(source="x", view="PA"))
    with pytest.raises(UserError, match=reason):
        read(tmp_path, **options)


def test_an_unknown_option():
    with pytest.raises(ValidationError):
        Options.model_validate({"manifst": "x"})


@pytest.mark.parametrize(
    ("folder", "labelled"),
    [
        ("mammo_mias", {"lesion_segmentation": 209, "lesion_detection": 209, "malignancy": 212}),
        ("cxr_opacity_ncsa", {"opacity_segmentation": 29, "lung_segmentation": 29, "lesion_detection": 29}),
        ("cxr_open", {"lung_segmentation": 61, "pneumonia": 290}),
        ("cxr_multisite_ncsa", {"lung_segmentation": 66, "pneumonia": 103}),
    ],
)
def test_real_manifests(real, folder, labelled):
    found = read(real / folder)
    assert not any(s.fault for s in found)
    for head, count in labelled.items():
        assert sum(head in known(s) for s in found) == count
    for study in found:
        assert study.modality == ("mammography" if folder == "mammo_mias" else "chest_xray")
