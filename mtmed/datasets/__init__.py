"""One public data set or format each: where its studies and their targets are."""

import ast
from importlib.util import find_spec
from pathlib import Path

from mtmed.registry import names


def described() -> dict[str, str]:
    """{reader: the first line of what it says of itself}; read, not imported: that would take seconds."""
    return {name: _first_line(name) for name in names(__name__)}


def _first_line(name: str) -> str:
    spec = find_spec(f"{__name__}.{name}")
    source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    return (ast.get_docstring(ast.parse(source)) or "(says nothing of itself)").splitlines()[0]
