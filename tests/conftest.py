"""Here so that tests find the modules beside this file; and no test is timed by a busy machine's clock."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("mtmed", deadline=None)
settings.load_profile("mtmed")


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real images that MTMED_REAL_DATA names (`make test DATA=...`); skipped without it."""
    folder = os.environ.get("MTMED_REAL_DATA")
    if not folder:
        pytest.skip("no real images: make test DATA=folder")
    if not Path(folder).is_dir():
        pytest.fail(f"MTMED_REAL_DATA names {folder}, which is no folder")
    return Path(folder)
