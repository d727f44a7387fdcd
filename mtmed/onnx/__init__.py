"""The network outside PyTorch: written as an ONNX file, checked against the original, run by ONNX Runtime.

The packages that this needs are the extra `onnx`; nothing else in mtmed imports them.
"""

from importlib import import_module
from typing import Any

from mtmed.errors import UserError


def needed(package: str) -> Any:
    """The package, imported.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UserError(f"{package} is not installed: pip install 'mtmed[onnx]'") from error
