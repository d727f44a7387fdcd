"""An exported network, run by ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtmed import checkpoint, container
from mtmed.errors import UserError
from mtmed.models.engine import Standard
from mtmed.onnx import needed
from mtmed.onnx.graph import IMAGES, LARGEST, STANDARD, STEP
from mtmed.types import Architecture, GlobalModel

SUFFIX = ".onnx"
ERRORS = 3  # ONNX Runtime's word for: log nothing less


class Runtime:
    """An `Engine` (mtmed.models.engine) on as many threads as PyTorch would take."""

    def __init__(self, session: Any, architecture: Architecture) -> None:
        self.architecture = architecture
        self._session = session
        self._names = [output.name for output in session.get_outputs()]

    def tensors(
        self, images: Tensor, heads: Sequence[str], standard: Standard | None = None
    ) -> dict[str, dict[str, Tensor]]:
        """As an `Engine`; heads that are not named are not computed. A `standard` is one for all images."""
        wanted = [name for name in self._names if name.partition(".")[0] in heads]
        given = {IMAGES: images.cpu().contiguous().numpy()}
        if standard is not None:
            given[STANDARD] = np.array([float(s) for s in standard], np.float32)
        found: dict[str, dict[str, Tensor]] = {head: {} for head in heads}
        for name, values in zip(wanted, self._session.run(wanted, given, self._options()), strict=True):
            head, _, part = name.partition(".")
            found[head][part] = torch.from_numpy(values)
        return found

    def accepts(self, size: int) -> bool:
        """As an `Engine`."""
        side = self._session.get_inputs()[0].shape[-1]
        return size == side if isinstance(side, int) else size in range(STEP, LARGEST + 1, STEP)

    @staticmethod
    def _options() -> Any:
        options = needed("onnxruntime").RunOptions()
        options.only_execute_path_to_fetches = True
        return options


def load(path: Path) -> tuple[Runtime, GlobalModel]:
    """The network of an ONNX file, and what the file says of its origin (without weights).

    Raises:
        UserError: the extra `onnx` is not installed, or the file is not one that `mtmed export` wrote.
    """
    if not path.is_file():
        raise UserError(f"no model at {path}: expected an {SUFFIX} file that mtmed export wrote")
    session = _session(path)
    metadata = session.get_modelmeta().custom_metadata_map
    if container.KEY not in metadata:
        raise UserError(f"{path} is an ONNX file of another kind: expected one that mtmed export wrote")
    model, architecture = checkpoint.read_description(metadata[container.KEY], str(path))
    return Runtime(session, architecture), model


def _session(path: Path) -> Any:
    ort = needed("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = ERRORS
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no base of their own
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is not a file that ONNX Runtime can read: {reason}") from error
