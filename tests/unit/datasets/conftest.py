"""The heads that readers of public data sets are asked for, and a reader run on a folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mtmed import datasets
from mtmed.data.raw import RawStudy
from mtmed.types import HeadSpec

ALL = ("mammography", "chest_xray", "ultrasound")
HEADS = {
    spec.name: spec
    for spec in (
        HeadSpec("lesion_segmentation", "segmentation", ("lesion",), ALL),
        HeadSpec("mass_segmentation", "segmentation", ("mass", "calcification"), ("mammography",)),
        HeadSpec("lung_segmentation", "segmentation", ("lung",), ("chest_xray",)),
        HeadSpec("opacity_segmentation", "segmentation", ("opacity",), ("chest_xray",)),
        HeadSpec("pneumothorax_segmentation", "segmentation", ("pneumothorax",), ("chest_xray",)),
        HeadSpec("lesion_detection", "detection", ("lesion",), ALL),
        HeadSpec("findings_detection", "detection", ("mass", "calcification"), ("mammography",)),
        HeadSpec("opacity_detection", "detection", ("opacity",), ("chest_xray",)),
        HeadSpec("malignancy", "classification", ("malignant",), ("mammography",)),
        HeadSpec("pneumonia", "classification", ("pneumonia",), ("chest_xray",)),
    )
}


@pytest.fixture(scope="session")
def read() -> Callable[..., list[RawStudy]]:
    """`read(reader, folder, **options)` -> its studies, for HEADS."""

    def run(name: str, folder: Path, **options: object) -> list[RawStudy]:
        return list(datasets.studies(name, folder, datasets.options(name).model_validate(options), HEADS))

    return run


@pytest.fixture(scope="session")
def known() -> Callable[[RawStudy], set[str]]:
    """The heads that a study labels."""
    return lambda study: {head for head, labelled in study.labelled.items() if labelled.any()}
