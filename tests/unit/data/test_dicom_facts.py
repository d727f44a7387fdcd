"""Spacing, view and side of an image, as its header says them; nothing else that a header says is taken."""

import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr._snomed_dict import mapping
from pydicom.sr.codedict import codes

from mtmed import modalities
from mtmed.data import dicom_facts, pixels
from mtmed.data.deidentify import deidentify
from tests.dicom import write_dicom


def header(**tags):
    dataset = Dataset()
    with disable_value_validation():
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
    return dataset


def item(**tags):
    return [header(**tags)]


def facts(**tags):
    dataset = header(**tags)
    deidentify(dataset)
    return dicom_facts.facts(dataset)


def region(delta_y=0.01, delta_x=0.02, units=3, form=1):
    return header(
        PhysicalDeltaY=delta_y,
        PhysicalDeltaX=delta_x,
        PhysicalUnitsYDirection=units,
        PhysicalUnitsXDirection=units,
        RegionSpatialFormat=form,
    )


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, None),
        ({"PixelSpacing": [0.1, 0.2]}, (0.1, 0.2)),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, (0.1, 0.2)),
        ({"NominalScannedPixelSpacing": [0.05, 0.05]}, (0.05, 0.05)),
        # calibrated: another value than the detector's, or a word of how
        ({"PixelSpacing": [0.09, 0.09], "ImagerPixelSpacing": [0.1, 0.1],
          "EstimatedRadiographicMagnificationFactor": 1.25}, (0.09, 0.09)),
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.1, 0.1], "PixelSpacingCalibrationType": "GEOMETRY",
          "EstimatedRadiographicMagnificationFactor": 1.25}, (0.1, 0.1)),
        # not calibrated: both are the detector's
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.1, 0.1],
          "EstimatedRadiographicMagnificationFactor": 1.25}, (0.08, 0.08)),
        ({"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": 0}, (0.1, 0.1)),
        ({"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": 1000}, (0.1, 0.1)),
        # what is no spacing of pixels
        ({"PixelSpacing": [0, 0]}, None),
        ({"PixelSpacing": [70, 70]}, None),
        ({"PixelSpacing": 0.1}, None),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.1, 0.1]}, (0.1, 0.1)),
    ],
)  # fmt: skip
def test_spacing(tags, expected):
    assert facts(**tags).spacing_mm == (pytest.approx(expected) if expected else None)


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ([region()], (0.1, 0.2)),
        ([region(delta_y=-0.01)], (0.1, 0.2)),
        ([region(), region()], (0.1, 0.2)),
        ([region(), region(0.02, 0.04)], None),
        ([region(units=4)], None),
        ([region(), region(units=0)], None),
        ([region(), region(0.5, 0.001, units=4, form=2)], (0.1, 0.2)),
        ([region(0, 0)], None),
        ([Dataset()], None),
    ],
)
def test_spacing_of_ultrasound(regions, expected):
    found = facts(Modality="US", SequenceOfUltrasoundRegions=regions).spacing_mm
    assert found == (pytest.approx(expected) if expected else None)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"ViewPosition": "MLO"}, "MLO"),
        ({"ViewPosition": " mlo "}, "MLO"),
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewPosition": "LLD"}, "LLD"),
        ({"ViewPosition": "DOE^JANE"}, ""),
        ({"ViewPosition": ["CC", "MLO"]}, ""),
        ({"ViewPosition": "", "ViewCodeSequence": item(CodeValue="R-10242")}, "CC"),
        ({"ViewCodeSequence": item(CodeValue="399368009", CodingSchemeDesignator="SCT")}, "MLO"),
        ({"ViewCodeSequence": item(CodeValue="DOE^JANE", CodeMeaning="cranio-caudal")}, ""),
        ({"ViewPosition": "AP", "ViewCodeSequence": item(CodeValue="R-10242")}, "AP"),
    ],
)
def test_view(tags, expected):
    assert facts(**tags).view == expected


def test_codes_of_views_are_the_standards():
    """The names of pydicom's copy of CID 4014 and 4010, and its map from SNOMED CT to the older SNOMED RT."""
    names = {
        "CC": "CranioCaudal", "MLO": "MedioLateralObliqueProjection", "ML": "MedioLateralProjection",
        "LM": "LateroMedial", "LMO": "LateroMedialOblique", "XCCL": "CranioCaudalExaggeratedLaterally",
        "XCCM": "CranioCaudalExaggeratedMedially", "FB": "CaudoCranial",
        "SIO": "SuperolateralToInferomedialOblique", "ISO": "InferomedialToSuperolateralOblique",
        "PA": "PosteroAnterior", "AP": "AnteroPosterior", "LL": "LeftLateral", "RL": "RightLateral",
    }  # fmt: skip
    assert set(dicom_facts.VIEW_OF_CODE.values()) == set(names)
    for view, name in names.items():
        code = getattr(codes.cid4010 if view in ("PA", "AP", "LL", "RL") else codes.cid4014, name).value
        assert dicom_facts.VIEW_OF_CODE[code] == view
        assert dicom_facts.VIEW_OF_CODE[mapping["SCT"][code]] == view


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, ""),
        ({"ImageLaterality": "L"}, "L"),
        ({"Laterality": "R"}, "R"),
        ({"ImageLaterality": "L", "Laterality": "R"}, "L"),
        ({"ImageLaterality": "B", "Laterality": "R"}, ""),
        ({"ImageLaterality": "", "Laterality": "r"}, "R"),
        ({"ImageLaterality": "LEFT"}, ""),
        ({"SharedFunctionalGroupsSequence": item(FrameAnatomySequence=item(FrameLaterality="L"))}, "L"),
    ],
)
def test_laterality(tags, expected):
    assert facts(**tags).laterality == expected


@pytest.mark.parametrize("code", ["MG", "CR", "DX", "US", "OT", "CT"])
def test_modality_that_is_known(code):
    assert facts(Modality=code).modality == code


def test_modality_that_is_none():
    assert facts().modality is None
    assert facts(Modality="").modality is None
    found = facts(Modality="DOE^JANE").modality
    assert found == modalities.nameable("DOE^JANE")
    assert not modalities.accepts("mammography", found)


def test_picture_says_all_of_it(tmp_path):
    tags = {"Modality": "MG", "ImagerPixelSpacing": [0.1, 0.2], "ViewPosition": "CC", "ImageLaterality": "L"}
    picture = pixels.read(write_dicom(tmp_path / "a.dcm", **tags))
    assert (picture.spacing_mm, picture.modality, picture.view, picture.laterality) == ((0.1, 0.2), "MG", "CC", "L")
