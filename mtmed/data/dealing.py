"""The rules by which patients are dealt to sites; each gives the names of every site's patients.

Patients come sorted by name, and what is drawn is drawn from a generator: nothing else decides.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from mtmed.data.patients import Patient
from mtmed.errors import UserError
from mtmed.types import Array

Members = list[list[str]]

NUMBER = re.compile(r"(-?\d+(\.\d+)?Y?)?")  # DICOM's ages are like 045Y


def evenly(patients: Sequence[Patient], sites: int, rng: np.random.Generator) -> Members:
    """Shuffled, and dealt one by one."""
    names = _shuffled([p.name for p in patients], rng)
    return [names[k::sites] for k in range(sites)]


def by_quantity(patients: Sequence[Patient], sites: int, alpha: float, rng: np.random.Generator) -> Members:
    """The sizes of the sites are drawn from a Dirichlet(alpha) (Li et al., ICDE 2022, arXiv 2102.02079)."""
    shares = rng.dirichlet(np.full(sites, alpha))
    return _cut(_shuffled([p.name for p in patients], rng), _apportioned(shares, len(patients)))


def by_labels(patients: Sequence[Patient], sites: int, alpha: float, rng: np.random.Generator) -> Members:
    """Of each combination of labels, the shares of the sites are drawn from a Dirichlet(alpha).

    A site that has its equal share of all patients gets no more. After Yurochkin et al. 2019 (arXiv 1905.12022) as in
    Li et al., ICDE 2022 (arXiv 2102.02079); Hsu et al. 2019 (arXiv 1909.06335) draw the labels of each site instead.
    """
    groups = _grouped((p.combination, p.name) for p in patients)
    members: Members = [[] for _ in range(sites)]
    for combination in sorted(groups):
        names = _shuffled(groups[combination], rng)
        # a Dirichlet among those that still have room is the Dirichlet of all, without the others and rescaled
        room = [site for site in members if len(site) < len(patients) / sites]
        shares = rng.dirichlet(np.full(len(room), alpha))
        # drawn, not rounded: or every combination of one patient would go to the same site
        for site, some in zip(room, _cut(names, rng.multinomial(len(names), shares / shares.sum())), strict=True):
            site.extend(some)
    return members


def by_value(patients: Sequence[Patient], sites: int) -> Members:
    """Patients of one value stay together.

    As many values as sites: one each, in the order of `values`. More numbers than sites: ranges of about as many
    patients, the lowest first. Other values: the most frequent first, each to the site that has the fewest so far.

    Raises:
        UserError: fewer values than sites.
    """
    groups = _grouped((p.value, p.name) for p in patients)
    if len(groups) < sites:
        raise UserError(f"{len(groups)} values for {sites} sites: expected one or more each; take fewer sites")
    members: Members = [[] for _ in range(sites)]
    done = 0
    for value in values(patients):
        if len(groups) > sites and _are_numbers(groups):
            place = int((done + len(groups[value]) / 2) * sites / len(patients))
        else:
            place = min(range(sites), key=lambda k: len(members[k]))
        members[place].extend(groups[value])
        done += len(groups[value])
    return members


def values(patients: Sequence[Patient]) -> list[str]:
    """The values of all patients: numbers in their order (none is the lowest), others by how frequent they are."""
    groups = _grouped((p.value, p.name) for p in patients)
    if _are_numbers(groups):
        return sorted(groups, key=lambda value: (_number(value), value))
    return sorted(groups, key=lambda value: (-len(groups[value]), value))


def _are_numbers(found: Iterable[str]) -> bool:
    return all(NUMBER.fullmatch(value) for value in found)


def _number(value: str) -> float:
    return float(value.rstrip("Y") or "-inf")


def _grouped(pairs: Iterable[tuple[Any, str]]) -> dict[Any, list[str]]:
    groups: dict[Any, list[str]] = defaultdict(list)
    for key, name in pairs:
        groups[key].append(name)
    return groups


def _shuffled(names: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [names[k] for k in rng.permutation(len(names))]


def _cut(names: Sequence[str], sizes: Iterable[int]) -> list[list[str]]:
    ends = list(accumulate(sizes, initial=0))
    return [list(names[start:end]) for start, end in pairwise(ends)]


def _apportioned(shares: Array, whole: int) -> list[int]:
    """`whole` in integers nearest to the shares: rounded down, and the rest to the largest remainders."""
    exact = shares / shares.sum() * whole
    sizes = np.floor(exact).astype(int)
    sizes[np.argsort(sizes - exact, kind="stable")[: whole - sizes.sum()]] += 1
    return [int(size) for size in sizes]
