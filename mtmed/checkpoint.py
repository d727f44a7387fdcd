"""Models and updates as files, and networks with the weights of files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtmed.container import (
    PARTS,
    Difference,
    Known,
    Parts,
    expected_header,
    header_text,
    opened,
    pack,
    read_header,
    unpack,
)
from mtmed.errors import UserError
from mtmed.models import multitask
from mtmed.types import Architecture, GlobalModel, HeadSpec, SiteUpdate


def model_bytes(model: GlobalModel, architecture: Architecture, difference: Difference | None = None) -> bytes:
    """A global model as a file that needs nothing else to predict, or nothing but the file that it differs from."""
    return pack(_parts(model), _model_header(model, architecture), difference)


def describe(model: GlobalModel, architecture: Architecture) -> str:
    """All that a model file says but its weights: the header of a file in another format."""
    return header_text(_model_header(model, architecture))


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
    tensors, header = unpack(data, "model", origin, known)
    return _described(header, tensors, origin)


def read_description(text: str, origin: str) -> tuple[GlobalModel, Architecture]:
    """What `describe` wrote: the model without weights, and its architecture.

    Raises:
        UserError: not one of our headers; `origin` names the file.
    """
    return _described(read_header(text, "model", origin), {key: {} for key in ("mean", *PARTS)}, origin)


def _described(header: dict[str, Any], tensors: Parts, origin: str) -> tuple[GlobalModel, Architecture]:
    with expected_header(origin):
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
    return unpack(data, None, origin, known)[0]["mean"]


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
    return pack(_parts(update), header, difference)


def read_update(data: bytes, origin: str = "the update", known: Known | None = None) -> SiteUpdate:
    """A site's update; `known` as in `read_model`.

    Raises:
        UserError: not one of our update files; `origin` names it.
    """
    tensors, header = unpack(data, "update", origin, known)
    return _update(tensors, header, origin)


def open_update(path: Path, origin: str = "the update") -> SiteUpdate:
    """A site's update whose tensors are read when they are asked for; the file must stay until then.

    Raises:
        UserError: not one of our update files; `origin` names it.
    """
    tensors, header = opened(path, "update", origin)
    return _update(tensors, header, origin)


def _update(tensors: Parts, header: Mapping[str, Any], origin: str) -> SiteUpdate:
    with expected_header(origin):
        update = SiteUpdate(**{**header, **tensors})
        counts = [update.round, update.examples, *update.labelled.values()]
        if not all(type(count) is int for count in counts):
            raise ValueError(f"counts {counts}")
        return update


def _parts(content: GlobalModel | SiteUpdate) -> Parts:
    return {part: getattr(content, part) for part in ("mean", *PARTS)}


def _short(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.to(torch.bfloat16) for name, value in tensors.items()}


def _temperatures(raw: dict[str, Any], heads: Sequence[HeadSpec]) -> dict[str, float]:
    """Those of a header; ValueError where one is of no head, or is none."""
    found = {name: float(value) for name, value in raw.items()}
    if found.keys() - {h.name for h in heads} or not all(0 < t < math.inf for t in found.values()):
        raise ValueError(f"temperatures {raw}")
    return found


def _head(raw: dict[str, Any]) -> HeadSpec:
    return HeadSpec(**{**raw, "classes": tuple(raw["classes"]), "modalities": tuple(raw["modalities"])})
