"""Fewer bytes: what travels is how far a model is from one that both ends know, in a few bits an element.

Uniform quantisation by row, where what was rounded off is added to the next message (error feedback: Seide et al. 2014,
Karimireddy et al. 2019), then DEFLATE, which takes out what bits do not say. Precisions are coded by their
logarithm, because only their ratios matter; an exact zero, which says that no label was there, has its own code.
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mtmed.errors import UserError

WHOLE = 32  # bits of an element that is not coded at all
HALF = torch.finfo(torch.float16).max
SCALE, LOWEST = "/scale", "/lowest"  # behind the parameter's name, which has no slash


def encode(values: Mapping[str, Tensor], base: Mapping[str, Tensor], bits: int) -> dict[str, Tensor]:
    """The difference of two models, as tensors for a file: codes, and the scale of each row.

    Args:
        bits: of an element, 2 to 8 for whole numbers of the row's scale, 16 for half precision.

    Raises:
        UserError: another number of bits.
    """
    coded: dict[str, Tensor] = {}
    for name, value in values.items():
        moved = value.float() - base[name].float()
        if bits == 16:
            coded[name] = moved.clamp(-HALF, HALF).half()
            continue
        rows = _rows(moved)
        scale = (rows.abs().amax(1) if rows.numel() else rows.new_zeros(len(rows))) / _levels(bits)
        codes = (rows / scale.where(scale > 0, 1.0)[:, None]).round().to(torch.int8)
        coded[name], coded[name + SCALE] = _deflated(codes), scale
    return coded


def decode(coded: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The values of which `encode` made the codes, as far as they say.

    Raises:
        UserError: the codes are not of such a model.
    """
    values: dict[str, Tensor] = {}
    for name, start in base.items():
        if name not in coded:
            raise UserError(f"the coded model lacks {name!r}: expected one of the same architecture")
        if coded[name].dtype == torch.float16:
            values[name] = start + _expected(coded, name, torch.float16, start.shape).float()
            continue
        rows = _rows(start.float())
        codes = _inflated(coded[name], name, np.int8, rows.numel()).reshape(rows.shape)
        scale = _expected(coded, name + SCALE, torch.float32, rows.shape[:1])
        values[name] = (rows + codes.float() * scale[:, None]).reshape(start.shape)
    return values


def encode_precision(precision: Mapping[str, Tensor], bits: int) -> dict[str, Tensor]:
    """Codes of what is not negative: 0 is exactly zero, the others divide the logarithm's range evenly."""
    coded: dict[str, Tensor] = {}
    for name, value in precision.items():
        logs = value.float().clamp(min=torch.finfo(torch.float32).tiny).log2()
        known = ~(value == 0)  # what is no number stays none, and the gate sees it
        low = logs[known].min() if known.any() else torch.zeros(())
        step = ((logs[known].max() - low) / (2**bits - 2)) if known.any() else torch.zeros(())
        codes = 1 + ((logs - low) / step.where(step > 0, 1.0)).round()
        coded[name] = _deflated(codes.where(known, 0.0).to(torch.uint8))
        coded[name + LOWEST] = torch.stack([low, step])
    return coded


def decode_precision(coded: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The precisions of which `encode_precision` made the codes; those that no code names are absent, which is zero.

    Args:
        like: the model's parameters, for their shapes.
    """
    values: dict[str, Tensor] = {}
    for name, start in like.items():
        if name in coded:
            codes = _inflated(coded[name], name, np.uint8, start.numel()).float()
            low, step = _expected(coded, name + LOWEST, torch.float32, (2,))
            values[name] = (low + (codes - 1) * step).exp2().where(codes > 0, 0.0).reshape(start.shape)
    return values


def _levels(bits: int) -> int:
    if not 2 <= bits <= 8:
        raise UserError(f"federation.coding.bits: expected 2 to 8, 16 or {WHOLE}, got {bits}")
    return int(2 ** (bits - 1) - 1)


def _rows(value: Tensor) -> Tensor:
    """A row for each output of a layer; one for a vector, whose elements have one scale."""
    return value.flatten(1) if value.ndim > 1 else value.reshape(1, -1)


def _deflated(codes: Tensor) -> Tensor:
    data = zlib.compress(codes.contiguous().numpy().tobytes())
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _expected(coded: Mapping[str, Tensor], name: str, kind: torch.dtype, shape: Sequence[int]) -> Tensor:
    found = coded.get(name)
    if found is None or found.dtype != kind or found.shape != torch.Size(shape):
        what = "nothing" if found is None else f"{found.dtype} {tuple(found.shape)}"
        raise UserError(f"the coded model has {what} at {name!r}: expected {kind} {tuple(shape)}")
    return found


def _inflated(data: Tensor, name: str, kind: type[np.generic], count: int) -> Tensor:
    if data.dtype != torch.uint8:
        raise UserError(f"the codes of {name!r} are {data.dtype}: expected {torch.uint8}")
    try:
        plain = zlib.decompressobj().decompress(data.numpy().tobytes(), count + 1)  # never more than it can be
    except zlib.error as error:
        raise UserError(f"the codes of {name!r} cannot be read: {error}") from error
    codes = np.frombuffer(plain, kind)
    if len(codes) != count:
        raise UserError(f"the codes of {name!r} are {len(codes)} or more, expected {count}: another architecture")
    return torch.from_numpy(codes.copy())
