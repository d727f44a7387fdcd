"""Where training runs: a GPU when there is one; bfloat16 where the processor computes in it."""

from contextlib import AbstractContextManager, nullcontext

import torch

from mtmed.errors import UserError


def pick() -> torch.device:
    """The first GPU, or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context of a forward pass in `training.precision` (auto, float32 or bfloat16).

    Raises:
        UserError: bfloat16 is asked for where the processor cannot.
    """
    able = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_bfloat16()
    if precision == "bfloat16" and not able:
        raise UserError("training.precision is bfloat16, which this processor lacks: use auto or float32")
    if precision == "float32" or not able:
        return nullcontext()
    # no cache of cast weights: all threads share it, and one that leaves its forward pass clears it for the
    # others, which changes how gradients of weights that are used twice are rounded
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def _cpu_bfloat16() -> bool:
    """bfloat16 arithmetic, not emulation, which would be slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
