"""WHEN: order, concurrency, retries, deadlines. No arithmetic, no files."""

import os
from pathlib import Path

# Before Prefect and MLflow are imported, so that `dvc repro` and `make` see the same settings. Absolute, because
# Prefect silently ignores pyproject.toml from a subfolder; the user's own environment wins.
_DEFAULTS = {
    "PREFECT_HOME": str(Path.cwd() / ".prefect"),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "DVC_NO_ANALYTICS": "1",
}
for _name, _value in _DEFAULTS.items():
    os.environ.setdefault(_name, _value)
