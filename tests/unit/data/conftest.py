"""Small sites on disk, made by the real writer, and real images where this machine has them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mtmed.config import Config, parse
from mtmed.phantoms import write
from mtmed.specs import PhantomSpec

HEADS = {
    "lesion_segmentation": {
        "kind": "segmentation", "classes": ["lesion"], "modalities": ["mammography", "chest_xray"]
    },
    "lesion_detection": {
        "kind": "detection", "classes": ["lesion"], "modalities": ["mammography", "chest_xray"]
    },
    "malignancy": {"kind": "classification", "classes": ["malignant"], "modalities": ["mammography"]},
    "pneumonia": {"kind": "classification", "classes": ["pneumonia"], "modalities": ["chest_xray"]},
}  # fmt: skip


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a small phantom: `hospital(modality=..., patients=...)` -> its folder."""

    def make(**spec: object) -> Path:
        folder = tmp_path_factory.mktemp("raw")
        write(PhantomSpec.model_validate({"patients": 6, "size": 64, "blur": 0, **spec}), folder)
        return folder

    return make


@pytest.fixture(scope="session")
def configured() -> Callable[..., Config]:
    """A configuration with one site named `here`, 64 pixels, and heads by default as in params.yaml."""

    def make(raw: Path, options: dict[str, object] | None = None, heads: object = HEADS) -> Config:
        site = {"dataset": "manifest", "raw": str(raw), "options": options or {}}
        return parse({"sites": {"here": site}, "heads": heads, "image": {"size": 64}})

    return make
