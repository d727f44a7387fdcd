"""Sites out of one data set: which patient is at which site.

A patient is never split. The same patients, rule and seed give the same sites, in whatever order files are read; but
numpy may change its streams between versions, so a federation is repeated from the table, not from the seed.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import yaml

from mtmed.data import dealing
from mtmed.data.patients import Patient
from mtmed.data.table import read_table
from mtmed.errors import UserError, unknown

RULES = ("natural", "labels", "quantity", "even", "scanner")
DRAWS = 100  # until every site has enough patients


@dataclass(frozen=True)
class Rule:
    """How patients are dealt to sites (mtmed/data/dealing.py).

    Attributes:
        name: even; natural, by a `column`; labels or quantity, with a Dirichlet's `alpha`; scanner: even, and each site
            is to have a simulated scanner.
    """

    name: str
    column: str = ""
    alpha: float = 0


def parse(text: str) -> Rule:
    """`natural:COLUMN`, `labels:ALPHA`, `quantity:ALPHA`, `even` or `scanner`.

    Raises:
        UserError: none of these.
    """
    name, colon, argument = text.partition(":")
    if name not in RULES:
        raise unknown("rule", name, RULES)
    if bool(argument) != (name not in ("even", "scanner")) or (colon and not argument):
        raise UserError(f"--by {text}: expected natural:COLUMN, labels:ALPHA, quantity:ALPHA, even or scanner")
    return Rule(name, column=argument) if name == "natural" else Rule(name, alpha=_alpha(argument or "1"))


def _alpha(text: str) -> float:
    try:
        alpha = float(text)
    except ValueError:
        alpha = 0.0
    if not 0.001 <= alpha <= 1e6:
        raise UserError(f"alpha {text!r}: expected a number from 0.001 (sites differ) to 1000000 (sites are alike)")
    return alpha


def partition(
    patients: Sequence[Patient], sites: Sequence[str], rule: Rule, seed: int, at_least: int = 10
) -> dict[str, str]:
    """{patient: site}, by patient.

    Args:
        at_least: patients at each site; drawn again until that holds.

    Raises:
        UserError: fewer than two sites or one twice; too few patients, or values; a draw that never suffices.
    """
    if len(sites) < 2 or len(set(sites)) < len(sites):
        raise UserError(f"sites {', '.join(sites)}: expected two or more different names")
    if len(patients) < at_least * len(sites):
        raise UserError(
            f"{len(patients)} patients for {len(sites)} sites: expected at least {at_least} each (--at-least)"
        )
    ordered, rng = sorted(patients, key=lambda p: p.name), np.random.default_rng(seed)
    for _ in range(DRAWS if rule.name in ("labels", "quantity") else 1):
        members = _deal(ordered, len(sites), rule, rng)
        smallest = min(map(len, members))
        if smallest >= at_least:
            return dict(sorted((name, site) for site, names in zip(sites, members, strict=True) for name in names))
    site = sites[min(range(len(sites)), key=lambda k: len(members[k]))]
    raise UserError(
        f"{rule.name} leaves {site} with {smallest} of the patients: expected at least {at_least} (--at-least); "
        + ("take fewer sites" if rule.name == "natural" else "take a larger alpha or fewer sites")
    )


def _deal(patients: Sequence[Patient], sites: int, rule: Rule, rng: np.random.Generator) -> dealing.Members:
    if rule.name == "natural":
        return dealing.by_value(patients, sites)
    if rule.name == "labels":
        return dealing.by_labels(patients, sites, rule.alpha, rng)
    if rule.name == "quantity":
        return dealing.by_quantity(patients, sites, rule.alpha, rng)
    return dealing.evenly(patients, sites, rng)


def sites_of_values(patients: Sequence[Patient]) -> list[str]:
    """A site per value of the column, named after it as params.yaml allows.

    Raises:
        UserError: two values would have the same name.
    """
    found: dict[str, str] = {}
    for value in dealing.values(patients):
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", value).strip("-_") or "unknown"
        if name in found:
            raise UserError(f"values {found[name]!r} and {value!r} would both be a site {name!r}: name them (--sites)")
        found[name] = value
    return list(found)


def read_part(path: Path, site: str) -> set[str]:
    """The patients of one site, from a table of patient and site.

    Raises:
        UserError: no such table or column, an empty cell, a patient at two sites, nobody at this one, or another table
            than the recipe beside it describes.
    """
    _expect_as_described(path)
    where: dict[str, str] = {}
    for number, row in enumerate(read_table(path, ("patient", "site")), 1):
        if not row["patient"] or not row["site"]:
            raise UserError(f"{path} row {number}: expected a patient and a site, found an empty cell")
        if where.setdefault(row["patient"], row["site"]) != row["site"]:
            raise UserError(f"{path} row {number}: a patient who is at another site already")
    found = {patient for patient, named in where.items() if named == site}
    if not found:
        raise UserError(f"{path}: {unknown('site', site, set(where.values()) or {'(none)'})}")
    return found


def _expect_as_described(path: Path) -> None:
    recipe = path.with_suffix(".yaml")
    if not path.is_file() or not recipe.is_file():
        return
    try:
        described = yaml.safe_load(recipe.read_text(encoding="utf-8"))["recipe"]["sha256"]
    except (ValueError, TypeError, KeyError, yaml.YAMLError):
        return  # somebody's own notes
    if described != sha256(path.read_bytes()).hexdigest():
        raise UserError(f"{path} is not the table that {recipe} describes: restore it, or remove {recipe.name}")


def table(where: Mapping[str, str]) -> str:
    """{patient: site} as `read_part` reads it, sorted by patient.

    Raises:
        UserError: a patient's name that would not come back from a table.
    """
    odd = next((name for name in where if name != name.strip() or not name.isprintable()), None)
    if odd is not None:
        raise UserError(f"patient {odd!r}: expected a name without blanks at its ends, in printable characters")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("patient", "site"), *sorted(where.items())])
    return text.getvalue()
