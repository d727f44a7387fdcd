"""Small synthetic hospitals on disk."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mtmed import phantoms
from mtmed.specs import PhantomSpec


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a small phantom: `hospital(modality=..., patients=...)` -> its folder."""

    def make(**spec: object) -> Path:
        folder = tmp_path_factory.mktemp("raw")
        phantoms.write(PhantomSpec.model_validate({"patients": 6, "size": 64, "blur": 0, **spec}), folder)
        return folder

    return make
