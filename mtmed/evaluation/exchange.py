"""A site's evaluation and calibration as plain JSON: they come from elsewhere, so they are read as if wrong."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from mtmed.errors import UserError, unknown
from mtmed.evaluation.calibration import FIELDS
from mtmed.evaluation.temperature import GRID
from mtmed.types import HeadEvaluation, LikelihoodCurve, SiteCalibration, SiteEvaluation

T = TypeVar("T")


def to_json(told: SiteEvaluation | SiteCalibration) -> str:
    """What a site tells as text; the same gives the same bytes."""
    return json.dumps(asdict(told), sort_keys=True, allow_nan=False, indent=1) + "\n"


def from_json(text: str, origin: str = "the evaluation") -> SiteEvaluation:
    """Read an evaluation; `origin` names the file or site in errors.

    Raises:
        UserError: not JSON, a field that is unknown, missing or of another type, a number that is not finite.
    """
    raw = _parsed(text, SiteEvaluation, origin)
    models = _mapping(raw["heads"], f"{origin}.heads", lambda heads, at: _mapping(heads, at, _head))
    return SiteEvaluation(_string(raw["site"], f"{origin}.site"), models)


def calibration_from_json(text: str, origin: str = "the calibration") -> SiteCalibration:
    """Read a calibration; `origin` names the file or site in errors.

    Raises:
        UserError: as `from_json`, or a curve over another grid.
    """
    raw = _parsed(text, SiteCalibration, origin)
    models = _mapping(raw["curves"], f"{origin}.curves", lambda curves, at: _mapping(curves, at, _curve))
    return SiteCalibration(_string(raw["site"], f"{origin}.site"), models)


def _parsed(text: str, cls: type, origin: str) -> dict[str, Any]:
    try:
        raw = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise UserError(f"{origin} is not JSON: {error}") from error
    _check_fields(raw, cls, origin)
    return dict(raw)


def _curve(raw: Any, where: str) -> LikelihoodCurve:
    _check_fields(raw, LikelihoodCurve, where)
    nll = _numbers(raw["nll"], f"{where}.nll")
    if len(nll) != len(GRID) or min(nll) < 0:
        raise UserError(f"{where}.nll: expected {len(GRID)} numbers of at least 0, got {_got(nll)}")
    return LikelihoodCurve(nll, _count(raw["examples"], f"{where}.examples"), _count(raw["images"], f"{where}.images"))


def _head(raw: Any, where: str) -> HeadEvaluation:
    _check_fields(raw, HeadEvaluation, where)
    return HeadEvaluation(
        metrics=_mapping(raw["metrics"], f"{where}.metrics", _number),
        replicates=_mapping(raw["replicates"], f"{where}.replicates", _numbers),
        calibration=_calibration(raw["calibration"], f"{where}.calibration"),
        images=_count(raw["images"], f"{where}.images"),
        patients=_count(raw["patients"], f"{where}.patients"),
        unscaled=_calibration(raw["unscaled"], f"{where}.unscaled"),
    )


def _calibration(raw: Any, where: str) -> dict[str, list[float]]:
    histogram = _mapping(raw, where, _numbers)
    if histogram and (set(histogram) != set(FIELDS) or len({len(v) for v in histogram.values()}) != 1):
        raise UserError(f"{where}: expected nothing, or {', '.join(FIELDS)} of one length, got {_got(raw)}")
    return histogram


def _check_fields(raw: Any, cls: type, where: str) -> None:
    expected = [f.name for f in fields(cls)]
    if not isinstance(raw, dict):
        raise UserError(f"{where}: expected {', '.join(expected)}, got {_got(raw)}")
    for name in raw:
        if name not in expected:
            raise unknown(f"field of {where}", str(name), expected)
    for name in expected:
        if name not in raw:
            raise UserError(f"{where} has no {name!r}: it was written by another version; evaluate again")


def _mapping(raw: Any, where: str, read: Callable[[Any, str], T]) -> dict[str, T]:
    if not isinstance(raw, Mapping):
        raise UserError(f"{where}: expected names with values, got {_got(raw)}")
    return {name: read(value, f"{where}.{name}") for name, value in raw.items()}


def _numbers(raw: Any, where: str) -> list[float]:
    if not isinstance(raw, list):
        raise UserError(f"{where}: expected a list of numbers, got {_got(raw)}")
    return [_number(value, f"{where}[{i}]") for i, value in enumerate(raw)]


def _number(raw: Any, where: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not abs(raw) <= sys.float_info.max:
        raise UserError(f"{where}: expected a finite number, got {_got(raw)}")
    return float(raw)


def _count(raw: Any, where: str) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 0:
        raise UserError(f"{where}: expected a count, got {_got(raw)}")
    return raw


def _string(raw: Any, where: str) -> str:
    if not isinstance(raw, str) or not raw:
        raise UserError(f"{where}: expected a name, got {_got(raw)}")
    return raw


def _got(raw: Any) -> str:
    text = json.dumps(raw)
    return text if len(text) <= 60 else text[:57] + "..."


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number; leave undefined metrics out")
