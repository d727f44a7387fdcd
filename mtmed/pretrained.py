"""Pretrained weights of the encoder, from a file or from timm's hub.

Nothing that is read can run code: files are safetensors, or torch files in which there is nothing but tensors.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import timm
from safetensors.torch import save
from timm.models import load_state_dict
from torch import Tensor

from mtmed import checkpoint
from mtmed.container import is_ours
from mtmed.errors import UserError
from mtmed.models import encoder
from mtmed.models.adapt import adapted, floats, quiet, unused
from mtmed.models.multitask import head_of


class Missing(UserError):
    """There is no such file, or no network; a user may have said to go on without."""


@dataclass(frozen=True)
class Weights:
    """What an encoder starts from.

    Attributes:
        tensors: by the names of `mtmed.models.encoder.build`.
        sha256: of the file; of what comes from the hub, of the tensors themselves.
    """

    tensors: Mapping[str, Tensor]
    sha256: str


def from_file(path: Path, name: str, image_size: int) -> Weights:
    """The weights in a file, as timm or `torch.save` of a timm model's state wrote it; the encoder of an mtmed model.

    Raises:
        Missing: no such file.
        UserError: it is no file of weights, or of those of another encoder.
    """
    if not path.is_file():
        raise Missing(f"no weights at {path}: put the file there, or take model.pretrained out to start from scratch")
    try:
        tensors = (_of_a_model if is_ours(path) else _of_timm)(path, name, image_size)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return Weights(tensors, hashlib.sha256(path.read_bytes()).hexdigest())


def _of_a_model(path: Path, name: str, image_size: int) -> dict[str, Tensor]:
    model, architecture = checkpoint.read_model(path.read_bytes(), "it")
    tensors = {n.removeprefix("encoder."): value for n, value in model.mean.items() if head_of(n) is None}
    wanted = floats(encoder.build(name, image_size))
    shapes, expected = ({n: v.shape for n, v in found.items()} for found in (tensors, wanted))
    if architecture.encoder != name or shapes != expected:  # encoders of one shape may differ in what they compute
        raise UserError(
            f"it is a model with encoder {architecture.encoder!r} for images of {architecture.image_size} pixels: "
            f"expected {name!r}, which fits {image_size}"
        )
    return tensors


def _of_timm(path: Path, name: str, image_size: int) -> dict[str, Tensor]:
    state = _read(path)
    tensors = adapted(state, name, image_size)
    if odd := unused(state, name, image_size):
        print(f"{path}: {len(odd)} of {len(state)} tensors have no place in {name}, the first {odd[0]!r}", flush=True)
    return tensors


def from_hub(name: str, image_size: int) -> Weights:
    """timm's own weights, fetched, or from the cache of an earlier time.

    Raises:
        Missing: they can be had neither way.
        UserError: timm has none for this encoder.
    """
    card = timm.get_pretrained_cfg(name)
    if card is None or not card.has_weights:
        raise UserError(f"timm has no weights for model.encoder {name!r}: timm.list_pretrained() names those it has")
    address = f"https://huggingface.co/{card.hf_hub_id}" if card.hf_hub_id else card.url
    print(f"weights of {name}: from the cache, or {address}", flush=True)
    try:
        with quiet("timm"), quiet("huggingface_hub"):  # which logs each of a dozen attempts
            tensors = floats(encoder.create(name, image_size, pretrained=True))
    except (OSError, httpx.HTTPError) as error:
        raise Missing(
            f"the weights of model.encoder {name!r} cannot be fetched from {address} ({_short(error)}): bring "
            "model.safetensors of that page here by other means and name it, model.pretrained: weights/<file>"
        ) from error
    return Weights(tensors, hashlib.sha256(save(tensors)).hexdigest())


def _read(path: Path) -> dict[str, Tensor]:
    try:
        state = load_state_dict(str(path), weights_only=True)
    except OSError:  # the disk's, told as such
        raise
    except Exception as error:  # a damaged pickle ends in any of a dozen
        raise UserError(
            f"cannot be read ({_short(error)}); expected a .safetensors file, or a torch file with a state dict and "
            "nothing that runs code"
        ) from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        found = ", ".join(map(str, [*state][:3])) or "nothing"
        raise UserError(f"no state dict: expected tensors by name, found {found}")
    return dict(state)


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
