"""What a metric of a head is called and what it means; each kind of head describes its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtmed.types import Metrics


@dataclass(frozen=True)
class Metric:
    """A metric in words for a reader who did not write the code.

    Attributes:
        label: its short name, for axes and table heads.
        definition: one or two sentences.
        higher_is_better: its direction; the worst site and the closed gap depend on it.
        in_units: it is in the unit of what is measured (mm, years), so that no fixed difference of it is small.
    """

    label: str
    definition: str
    higher_is_better: bool = True
    in_units: bool = False


def mean_over_classes(per_class: Sequence[Metrics]) -> Metrics:
    """Each metric's mean over the classes for which it is defined."""
    found = sorted({name for metrics in per_class for name in metrics})
    return {name: float(np.mean([m[name] for m in per_class if name in m])) for name in found}
