"""Pretrained weights made to fit an encoder, by timm's own functions.

They map the names of older files, fold the colours of the first layer into one channel, leave the classifier out and
resize what depends on the image's size. Layer scales are those of the weights, not 1.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import timm
import torch
from torch import Tensor, nn

from mtmed.errors import UserError
from mtmed.models import encoder

_REFUSALS = (RuntimeError, KeyError, IndexError, AttributeError, TypeError, ValueError, AssertionError)


def adapted(state: Mapping[str, Tensor], name: str, image_size: int) -> dict[str, Tensor]:
    """The tensors of `encoder.build(name, image_size)`, all of them determined by a state dict of timm's names.

    Raises:
        UserError: it is that of another encoder (the first tensors that differ are named), or not finite.
    """
    refused = f"the weights do not fit model.encoder {name!r} at image.size {image_size}"
    try:
        tensors = floats(_loaded(state, name, image_size))
        missing = _undetermined(state, name, image_size)
    except _REFUSALS as error:
        raise UserError(f"{refused}: {_difference(error)}") from error
    if missing:
        raise UserError(
            f"{refused}: they lack {missing[0]!r} and {len(missing) - 1} more of its {len(tensors)} tensors"
        )
    broken = [key for key, value in tensors.items() if not value.isfinite().all()]
    if broken:
        raise UserError(f"the weights hold values that are not finite, the first in {broken[0]!r}")
    return tensors


def unused(state: Mapping[str, Tensor], name: str, image_size: int) -> list[str]:
    """Of a state that fits, the tensors that are no part of timm's model and change nothing: of a deeper one, say.

    Names that timm does not have may be older ones, which it maps: then the encoder is another without them.
    """
    odd = sorted(state.keys() - timm.create_model(name).state_dict().keys())
    if not odd:
        return []
    try:
        without = floats(_loaded({k: v for k, v in state.items() if k not in odd}, name, image_size))
    except _REFUSALS:
        return []
    whole = floats(_loaded(state, name, image_size))
    return odd if all(torch.equal(whole[key], value) for key, value in without.items()) else []


def floats(body: nn.Module) -> dict[str, Tensor]:
    """The state of a module without integer buffers, copied."""
    kept = {name: value for name, value in body.state_dict().items() if value.is_floating_point()}
    return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in kept.items()}


def _undetermined(state: Mapping[str, Tensor], name: str, image_size: int) -> list[str]:
    """The encoder's tensors that stay the same when all of the state is 0 and when it is 1: those it lacks.

    Found by value, because timm maps names on the way, and says of what is missing in its log only.
    """
    filled = [{key: torch.full_like(value, fill) for key, value in state.items()} for fill in (0, 1)]
    nought, one = (floats(_loaded(values, name, image_size)) for values in filled)
    return [key for key, value in nought.items() if value.numel() and torch.equal(value, one[key])]


def _loaded(state: Mapping[str, Tensor], name: str, image_size: int) -> nn.Module:
    """timm's encoder with these weights; what they lack is drawn from the same seed every time."""
    nowhere = {"hf_hub_id": None, "hf_hub_filename": None, "url": "", "file": None}
    source: dict[str, Any] = {**nowhere, "state_dict": dict(state)}
    with torch.random.fork_rng(devices=[]), quiet("timm"):  # it would list all that it does not need
        torch.manual_seed(0)
        return encoder.create(name, image_size, pretrained=True, pretrained_cfg_overlay=source)


def _difference(error: Exception) -> str:
    """Of torch's list of differences the first ones."""
    if isinstance(error, KeyError):  # in timm's mapping of older names
        return f"timm looked for {error} in vain"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    listed = lines[0].startswith("Error(s) in loading state_dict")
    return " ".join(lines[1:3] if listed else lines[:1])[:300]


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Only errors of a library come into the log."""
    log = logging.getLogger(library)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
