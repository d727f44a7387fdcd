"""Our files: safetensors with one entry of metadata, a JSON header; nothing that is loaded can run code.

What a file holds is in parts: the mean, whose tensors have the parameters' names, and those of `PARTS` beside it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from mtmed.aggregation import coding
from mtmed.errors import UserError

FORMAT = "mtmed/1"
KEY = "mtmed"  # of the header, in a file's metadata
PARTS = ("precision", "gradient")  # beside the mean; their tensors are named "<part>.<parameter>"

Parts = Mapping[str, Mapping[str, Tensor]]  # {"mean" or one of PARTS: {parameter: value}}
Known = Callable[[str], Mapping[str, Tensor]]  # the values of a file, by its key


@dataclass(frozen=True)
class Difference:
    """How a file may say less: how far its values are from known ones, in few bits (mtmed/aggregation/coding.py).

    Attributes:
        base: the key of the file that has the known values.
        known: those.
        bits: of an element, and of an element's precision.
    """

    base: str
    known: Mapping[str, Tensor]
    bits: int
    precision_bits: int


def pack(parts: Parts, header: Mapping[str, Any], difference: Difference | None = None) -> bytes:
    """A file; with a `difference`, one that says less."""
    tensors = dict(parts["mean"])
    precision = parts["precision"]
    if difference is not None:
        tensors = coding.encode(tensors, difference.known, difference.bits)
        precision = coding.encode_precision(precision, difference.precision_bits)
        header = {**header, "base": difference.base}
    for part, values in {**parts, "mean": {}, "precision": precision}.items():
        tensors |= {f"{part}.{name}": value for name, value in values.items()}
    # one entry, because safetensors writes several in any order, and the same model must give the same bytes
    return save({name: value.contiguous() for name, value in tensors.items()}, {KEY: header_text(header)})


def header_text(header: Mapping[str, Any]) -> str:
    """A header as it stands in a file."""
    return json.dumps({"format": FORMAT, **header}, sort_keys=True)


def unpack(
    data: bytes, kind: str | None, origin: str, known: Known | None = None
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The parts of a file, and its header.

    Args:
        kind: that the file must be of, if not any.
        known: has the values of the files that this one may differ from.

    Raises:
        UserError: not one of our files, or of another kind; `origin` names it.
    """
    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{origin} is not a safetensors file: {error}") from error
    header = read_header(_ours(metadata, origin), kind, origin)
    found = {part: {p: tensors[n] for p, n in names.items()} for part, names in _sorted(tensors).items()}
    base = header.pop("base", None)
    if base is not None:
        if known is None or not isinstance(base, str):
            raise UserError(f"{origin} says only how it differs from {base}: expected a whole file")
        values = known(base)
        found["mean"] = coding.decode(found["mean"], values)
        found["precision"] = coding.decode_precision(found["precision"], values)
    return found, header


def opened(path: Path, kind: str, origin: str) -> tuple[Parts, dict[str, Any]]:
    """As `unpack`, but tensors are read when they are asked for; the file must stay until then."""
    try:
        file = safe_open(path, "pt")
    except SafetensorError as error:
        raise UserError(f"{origin} is not a safetensors file: {error}") from error
    header = read_header(_ours(file.metadata() or {}, origin), kind, origin)
    return {part: _Lazy(file, names) for part, names in _sorted(file.keys()).items()}, header


def is_ours(path: Path) -> bool:
    """Whether it is a safetensors file that mtmed wrote."""
    try:
        return KEY in (safe_open(path, "pt").metadata() or {})
    except SafetensorError:
        return False


def read_header(text: str, kind: str | None, origin: str) -> dict[str, Any]:
    """What `header_text` wrote, without format and kind; raises as `unpack`."""
    with expected_header(origin):
        header: dict[str, Any] = json.loads(text)
        written, found = header.pop("format"), header.pop("kind")
    if written != FORMAT:
        raise UserError(f"{origin} has format {written!r}, expected {FORMAT!r}: use the mtmed that wrote it")
    if kind and found != kind:
        raise UserError(f"{origin} is no {kind}: expected a file that a federation wrote as one")
    return header


@contextmanager
def expected_header(origin: str) -> Iterator[None]:
    """What goes wrong inside is the header's fault."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{origin} has an unexpected header: another version of mtmed wrote it") from error


def _ours(metadata: Mapping[str, str], origin: str) -> str:
    if KEY not in metadata:
        raise UserError(f"{origin} is a safetensors file of another kind: expected one that mtmed wrote")
    return metadata[KEY]


class _Lazy(Mapping[str, Tensor]):
    """Tensors of a safetensors file, by parameter."""

    def __init__(self, file: Any, names: Mapping[str, str]) -> None:
        """`names`: those of the tensors, by parameter."""
        self.file, self.names = file, names

    def __getitem__(self, name: str) -> Tensor:
        return self.file.get_tensor(self.names[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _sorted(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The names of a file's tensors, by what they are of and by parameter."""
    found: dict[str, dict[str, str]] = {part: {} for part in ("mean", *PARTS)}
    for name in names:
        part, _, parameter = name.partition(".")
        if part in PARTS:
            found[part][parameter] = name
        else:
            found["mean"][name] = name
    return found
