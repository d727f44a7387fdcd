"""A trained model by its address: a file that a federation wrote, or a name in the MLflow store."""

import os
from pathlib import Path
from urllib.parse import urlparse

import yaml

from mtmed import checkpoint
from mtmed.errors import UserError
from mtmed.models.engine import Engine
from mtmed.models.multitask import MultiTask
from mtmed.onnx import runtime
from mtmed.training.device import pick
from mtmed.types import GlobalModel

SCHEME = "models:/"
PARAMS = Path("params.yaml")


def open_model(address: str, store: str | None = None) -> tuple[MultiTask, GlobalModel]:
    """The network, on the GPU where there is one, and what the file says of its origin.

    Args:
        address: a .safetensors file, `models:/<name>@<alias>` or `models:/<name>/<version>`.
        store: the MLflow store of the latter; default: `tracking.uri` of ./params.yaml.

    Raises:
        UserError: no such file or model, or not one of ours.
    """
    path = _fetched(address, store) if address.startswith(SCHEME) else Path(address)
    if path.is_dir():
        raise UserError(f"{path} is a folder: expected a .safetensors file that a federation wrote")
    net, model = checkpoint.load_network(path)
    return net.to(pick()), model


def open_engine(address: str, store: str | None = None) -> tuple[Engine, GlobalModel]:
    """As `open_model`, or what `mtmed export` made of a model: something that predicts, and where it comes from."""
    if address.startswith(SCHEME) or Path(address).suffix != runtime.SUFFIX:
        return open_model(address, store)
    return runtime.load(Path(address))


def missing_store(uri: str) -> Path | None:
    """The file of a sqlite store that does not exist; MLflow would make an empty one instead of saying so."""
    file = Path(urlparse(uri).path.removeprefix("/"))
    return file if uri.startswith("sqlite:///") and not file.exists() else None


def _fetched(address: str, store: str | None) -> Path:
    uri = store or _configured_store()
    if missing_store(uri):
        raise UserError(f"no MLflow store at {uri}: expected the one that a federation has written to")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from tasks.tracking import fetch_model  # seconds to import, and only needed here

    try:
        return fetch_model(address, uri)
    except StopIteration:
        raise UserError(f"{address} holds no global.safetensors: expected a model that mtmed logged") from None


def _configured_store() -> str:
    """`tracking.uri` of ./params.yaml; the rest of the file is not needed, and not checked."""
    try:
        uri = yaml.safe_load(PARAMS.read_text())["tracking"]["uri"]
        return str(uri)
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(
            "a models:/ address needs a store: give --store (such as sqlite:///mlflow.db), "
            "or run where params.yaml has a tracking.uri"
        ) from error
