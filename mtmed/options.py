"""What an option of a strategy may be."""

import math

from mtmed.errors import UserError


def expect(option: str, value: float, low: float = 0.0, high: float = math.inf) -> None:
    """Check an option's value.

    Raises:
        UserError: it is not from `low` to below `high`.
    """
    if not low <= value < high:
        most = "up" if math.isinf(high) else f"to below {high:g}"
        raise UserError(f"{option}: expected a number from {low:g} {most}, got {value:g}")
