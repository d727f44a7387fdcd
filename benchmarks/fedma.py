"""FedMA's own matching of one layer (Wang et al. 2020), from a checkout of github.com/IBM/FedMA: the peer for speed.

Nothing of it is in this project. Its assignment is lapsolver's; where that does not build, scipy's takes its place.
"""

import logging
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from mtmed.errors import UserError
from mtmed.types import Array

ONE_PASS = 0  # further passes over the sites; its own default is 5


class FedMA:
    """Matches a layer as `match_layer` of that project does.

    Args:
        checkout: the folder that holds its package `matching`.
        precision: of every weight of a site; the prior has mean 0 and precision 1.
        gamma: how readily new units are made.

    Raises:
        UserError: there is no such package.
    """

    def __init__(self, checkout: Path, precision: float, gamma: float) -> None:
        if not (checkout / "matching" / "pfnm.py").is_file():
            raise UserError(f"{checkout}: expected a checkout of github.com/IBM/FedMA, with matching/pfnm.py")
        if find_spec("lapsolver") is None:
            stand_in: Any = ModuleType("lapsolver")
            stand_in.solve_dense = linear_sum_assignment
            sys.modules["lapsolver"] = stand_in
        sys.path.insert(0, str(checkout))
        self._match = import_module("matching.pfnm").match_layer
        logging.getLogger().setLevel(logging.WARNING)  # it tells of every layer
        self.precision, self.gamma = precision, gamma

    def __call__(self, layer: list[tuple[Array, Array]]) -> list[Array]:
        """Of each site but the first: the unit at each place, -1 for none."""
        units = [site.astype(np.float64) for site, _ in layer]
        size = units[0].shape[1]
        sure = [np.full(size, self.precision) for _ in units]
        places, weights, _ = self._match(units, sure, np.zeros(size), np.ones(size), self.gamma, ONE_PASS)
        return [_units(np.asarray(found), len(weights)) for found in places[1:]]


def _units(places: Array, count: int) -> Array:
    found = np.full(count, -1)
    found[places] = np.arange(len(places))
    return found
