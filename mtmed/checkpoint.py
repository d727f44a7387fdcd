"""Model and update files: safetensors with a JSON header; nothing that is loaded can run code."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from mtmed.aggregation import coding
from mtmed.errors import UserError
from mtmed.models import multitask
from mtmed.types import Architecture, GlobalModel, HeadSpec, SiteUpdate

FORMAT = "mtmed/1"
KEY = "mtmed"  # of the header, in a file's metadata
PARTS = ("precision", "gradient")  # beside the mean; their tensors are named "<part>.<parameter>"


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


def model_bytes(model: GlobalModel, architecture: Architecture, difference: Difference | None = None) -> bytes:
    """A global model as a file that needs nothing else to predict, or nothing but the file that it differs from."""
    return _pack(model, _model_header(model, architecture), difference)


def describe(model: GlobalModel, architecture: Architecture) -> str:
    """All that a model file says but its weights: the header of a file in another format."""
    return _text(_model_header(model, architecture))


def _model_header(model: GlobalModel, architecture: Architecture) -> dict[str, Any]:
    header = {
        "kind": "model",
        "round": model.round,
        "lineage": dict(model.lineage),
        "architecture": asdict(architecture),
    }
    return header | ({"temperatures": dict(model.temperatures)} if model.temperatures else {})


def read_model(data: bytes, origin: str = "the model", known: Known | None = None) -> tuple[GlobalModel, Architecture]:
    """The global model and its architecture.

    Args:
        known: has the values of the files that models may differ from.

    Raises:
        UserError: not one of our model files; `origin` names it.
    """
    tensors, header = _unpack(data, "model", origin, known)
    return _described(header, tensors, origin)


def read_description(text: str, origin: str) -> tuple[GlobalModel, Architecture]:
    """What `describe` wrote: the model without weights, and its architecture.

    Raises:
        UserError: not one of our headers; `origin` names the file.
    """
    return _described(_header(text, "model", origin), {key: {} for key in ("mean", *PARTS)}, origin)


def _described(
    header: dict[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], origin: str
) -> tuple[GlobalModel, Architecture]:
    with _expected_header(origin):
        raw = header["architecture"]
        heads = tuple(_head(h) for h in raw.pop("heads"))
        architecture = Architecture(**raw, heads=heads)
        temperatures = _temperatures(header.get("temperatures", {}), heads)
        model = GlobalModel(header["round"], lineage=header["lineage"], temperatures=temperatures, **tensors)
        return model, architecture


def read_mean(data: bytes, origin: str = "the file", known: Known | None = None) -> dict[str, Tensor]:
    """The weights of a model or an update, by name; `known` as in `read_model`.

    Raises:
        UserError: not one of our files; `origin` names it.
    """
    return _unpack(data, None, origin, known)[0]["mean"]


def load_network(path: Path) -> tuple[multitask.MultiTask, GlobalModel]:
    """The network of a model file, ready to predict, with the file's temperatures."""
    if not path.is_file():
        raise UserError(f"no model at {path}: expected a .safetensors file that a federation wrote")
    model, architecture = read_model(path.read_bytes(), str(path))
    net = network(model.mean, architecture)
    for head, temperature in model.temperatures.items():
        net.decoder(head).temperature = temperature
    return net, model


def network(mean: Mapping[str, Tensor], architecture: Architecture) -> multitask.MultiTask:
    """The network with these weights.

    Raises:
        UserError: the weights are of another architecture.
    """
    net = multitask.build(architecture)
    load_weights(net, mean)
    return net


def load_weights(net: multitask.MultiTask, mean: Mapping[str, Tensor]) -> None:
    """Put weights into a network; integer buffers (counters, indices) stay as they were built.

    Raises:
        UserError: the weights are of another architecture.
    """
    expected = weights(net)
    odd = sorted(expected.keys() ^ mean.keys())
    odd += [n for n in sorted(expected.keys() & mean.keys()) if expected[n].shape != mean[n].shape]
    if odd:
        raise UserError(
            f"the weights do not fit the architecture {net.architecture.encoder!r} with heads "
            f"{', '.join(net.heads)}: they differ in {odd[0]!r} and {len(odd) - 1} more"
        )
    net.load_state_dict(dict(mean), strict=False)


def weights(net: multitask.MultiTask) -> dict[str, Tensor]:
    """The network's floating-point state by name: what travels and is averaged."""
    state = net.state_dict()
    plain = torch.contiguous_format  # whatever order the network computes in, files and sums have one
    return {k: v.detach().cpu().clone(memory_format=plain) for k, v in state.items() if v.is_floating_point()}


def update_bytes(update: SiteUpdate, difference: Difference | None = None, short: bool = True) -> bytes:
    """A site's update as a file; precision and gradient travel as bfloat16, in which zero stays zero, or coded.

    Args:
        short: whether they do; sums of several sites' would lose the smaller ones.
    """
    header = {
        "kind": "update",
        "site": update.site,
        "round": update.round,
        "labelled": dict(update.labelled),
        "examples": update.examples,
        "metrics": dict(update.metrics),
        "lineage": dict(update.lineage),
    }
    if short:
        update = replace(update, gradient=_short(update.gradient))
    if short and difference is None:
        update = replace(update, precision=_short(update.precision))
    return _pack(update, header, difference)


def read_update(data: bytes, origin: str = "the update", known: Known | None = None) -> SiteUpdate:
    """A site's update; `known` as in `read_model`.

    Raises:
        UserError: not one of our update files; `origin` names it.
    """
    tensors, header = _unpack(data, "update", origin, known)
    with _expected_header(origin):
        return SiteUpdate(**(header | tensors))


def open_update(path: Path, origin: str = "the update") -> SiteUpdate:
    """A site's update whose tensors are read when they are asked for; the file must stay until then.

    Raises:
        UserError: not one of our update files; `origin` names it.
    """
    try:
        file = safe_open(path, "pt")
    except SafetensorError as error:
        raise UserError(f"{origin} is not a safetensors file: {error}") from error
    header = _header(_ours(file.metadata() or {}, origin), "update", origin)
    tensors = {part: _Lazy(file, names) for part, names in _sorted(file.keys()).items()}
    with _expected_header(origin):
        return SiteUpdate(**(header | tensors))


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


def _short(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.to(torch.bfloat16) for name, value in tensors.items()}


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


def _pack(content: GlobalModel | SiteUpdate, header: Mapping[str, Any], difference: Difference | None = None) -> bytes:
    if difference is not None:
        content = replace(
            content,
            mean=coding.encode(content.mean, difference.known, difference.bits),
            precision=coding.encode_precision(content.precision, difference.precision_bits),
        )
        header = {**header, "base": difference.base}
    tensors = dict(content.mean)
    for part in PARTS:
        tensors |= {f"{part}.{name}": value for name, value in getattr(content, part).items()}
    # one entry, because safetensors writes several in any order, and the same model must give the same bytes
    return save({name: value.contiguous() for name, value in tensors.items()}, {KEY: _text(header)})


def _text(header: Mapping[str, Any]) -> str:
    return json.dumps({"format": FORMAT, **header}, sort_keys=True)


def _unpack(
    data: bytes, kind: str | None, origin: str, known: Known | None = None
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{origin} is not a safetensors file: {error}") from error
    header = _header(_ours(metadata, origin), kind, origin)
    found = {part: {p: tensors[n] for p, n in names.items()} for part, names in _sorted(tensors).items()}
    base = header.pop("base", None)
    if base is not None:
        if known is None or not isinstance(base, str):
            raise UserError(f"{origin} says only how it differs from {base}: expected a whole file")
        values = known(base)
        found["mean"] = coding.decode(found["mean"], values)
        found["precision"] = coding.decode_precision(found["precision"], values)
    return found, header


def _ours(metadata: Mapping[str, str], origin: str) -> str:
    if KEY not in metadata:
        raise UserError(f"{origin} is a safetensors file of another kind: expected one that mtmed wrote")
    return metadata[KEY]


def _header(text: str, kind: str | None, origin: str) -> dict[str, Any]:
    with _expected_header(origin):
        header: dict[str, Any] = json.loads(text)
        written, found = header.pop("format"), header.pop("kind")
    if written != FORMAT:
        raise UserError(f"{origin} has format {written!r}, expected {FORMAT!r}: use the mtmed that wrote it")
    if kind and found != kind:
        raise UserError(f"{origin} is no {kind}: expected a file that a federation wrote as one")
    return header


@contextmanager
def _expected_header(origin: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{origin} has an unexpected header: another version of mtmed wrote it") from error


def _temperatures(raw: dict[str, Any], heads: Sequence[HeadSpec]) -> dict[str, float]:
    """Those of a header; ValueError where one is of no head, or is none."""
    found = {name: float(value) for name, value in raw.items()}
    if found.keys() - {h.name for h in heads} or not all(0 < t < math.inf for t in found.values()):
        raise ValueError(f"temperatures {raw}")
    return found


def _head(raw: dict[str, Any]) -> HeadSpec:
    return HeadSpec(**{**raw, "classes": tuple(raw["classes"]), "modalities": tuple(raw["modalities"])})
