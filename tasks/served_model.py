"""The model as MLflow serves it: loaded from safetensors by this code, never from a pickle."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel

from mtmed import checkpoint, inference


class ServedModel(PythonModel):
    """Takes a table with a column `path` (DICOM, PNG or JPEG); gives `path` and `findings` (JSON)."""

    def load_context(self, context: Any) -> None:
        """Build the network from the artefact."""
        self.network, _ = checkpoint.load_network(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """One row per image."""
        findings = [inference.predict_file(self.network, Path(p)).as_dict() for p in model_input["path"]]
        return pd.DataFrame({"path": model_input["path"], "findings": [json.dumps(f) for f in findings]})


mlflow.models.set_model(ServedModel())
