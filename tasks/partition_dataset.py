"""A public data set -> the sites of a federation: who is where, and what params.yaml says of them."""

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mtmed import __version__, datasets
from mtmed.config import Config, parse
from mtmed.data import dealing, partition, scanner
from mtmed.data.patients import Count, Patient, gather, total
from mtmed.errors import UserError
from tasks.prepare_folder import configuration

Sites = dict[str, dict[str, Any]]
MANY = 8  # values of a column are listed if they are fewer


@dataclass(frozen=True)
class Wish:
    """What a user asks for.

    Attributes:
        sites: their names; none: one for each value of a natural partition.
        by: the rule, as `mtmed.data.partition.parse` reads it.
        out: the table to write; beside it comes a .yaml with the same name.
        options: of the reader.
        params: whose heads say what a label is, as `tasks.prepare_folder.configuration` takes it.
    """

    dataset: str
    raw: Path
    sites: tuple[str, ...]
    by: str
    seed: int
    out: Path
    at_least: int
    options: Mapping[str, Any]
    params: Path | None

    @property
    def command(self) -> str:
        """How it is asked for."""
        words = {"dataset": self.dataset, "raw": self.raw, "sites": ",".join(self.sites), "by": self.by}
        words |= {"seed": self.seed, "at-least": self.at_least, "params": self.params, "out": self.out}
        given = [word for name, value in words.items() if value not in ("", None) for word in (f"--{name}", str(value))]
        options = [word for key, value in self.options.items() for word in ("--option", f"{key}={json.dumps(value)}")]
        return shlex.join(["mtmed", "partition", *given, *options])


def partition_dataset(wish: Wish) -> Iterator[str]:
    """Deal the patients to sites, write `wish.out` and its .yaml; what there is to tell, line by line.

    Raises:
        UserError: a mistake in the wish, a data set that is not as expected, or another partition in `wish.out`.
    """
    rule, config = partition.parse(wish.by), configuration(wish.dataset, wish.raw, wish.params, wish.options)
    _expect_sound(wish, rule)
    _expect_valid(config, _entries(wish, wish.sites, rule))
    patients = _patients(wish, rule, config)
    names = wish.sites or partition.sites_of_values(patients)
    sites = _entries(wish, names, rule)
    _expect_valid(config, sites)
    where = partition.partition(patients, names, rule, wish.seed, wish.at_least)
    counts = {site: total(p for p in patients if where[p.name] == site) for site in names}
    values = {site: _values(p for p in patients if where[p.name] == site) for site in names} if rule.column else {}
    recipe = {**_recipe(wish, where, counts), **({rule.column: values} if values else {})}
    _write(wish.out, partition.table(where), {"recipe": recipe, "sites": sites})
    yield from _told(wish, where, counts)
    yield from (f"{rule.column} of {site}: {some}" for site, some in values.items())
    yield ""
    yield from _yaml({"sites": sites}).splitlines()


def _expect_sound(wish: Wish, rule: partition.Rule) -> None:
    if not wish.sites and rule.name != "natural":
        raise UserError("--sites: expected names, e.g. north,south (only natural:COLUMN can do without)")
    if wish.out.suffix != ".csv":
        raise UserError(f"--out {wish.out}: expected a name that ends in .csv (a .yaml is written beside it)")
    if wish.out.parts[:1] != ("parts",) or ".." in wish.out.parts:
        raise UserError(f"--out {wish.out}: expected a file below parts/, e.g. parts/{wish.out.name}")


def _patients(wish: Wish, rule: partition.Rule, config: Config) -> list[Patient]:
    if not wish.raw.is_dir():
        raise UserError(f"no raw studies of {wish.dataset}: expected a folder at {wish.raw}")
    options = datasets.options(wish.dataset).model_validate(config.sites[wish.dataset].options)
    studies = datasets.studies(wish.dataset, wish.raw, options, config.heads)
    return gather(studies, config.heads, rule.column if rule.name == "natural" else None)


def _values(patients: Iterable[Patient]) -> str:
    """What a column says of some patients: a few values, or the first and the last of many."""
    found = [value or "(none)" for value in dealing.values(list(patients))]
    return ", ".join(found) if len(found) < MANY else f"{found[0]} to {found[-1]} ({len(found)} values)"


def _entries(wish: Wish, names: Sequence[str], rule: partition.Rule) -> Sites:
    """What `sites:` of params.yaml says of each."""
    rng = np.random.default_rng([wish.seed, 1])  # not the stream that deals the patients
    options = {"options": dict(wish.options)} if wish.options else {}
    common = {"dataset": wish.dataset, "raw": str(wish.raw), **options, "part": str(wish.out)}
    if rule.name != "scanner":
        return {name: dict(common) for name in names}
    return {name: {**common, "scanner": scanner.draw(rng).model_dump()} for name in names}


def _expect_valid(config: Config, sites: Sites) -> None:
    """Refuse what params.yaml would refuse, before the data set is read."""
    if sites:
        parse({"sites": sites, **config.model_dump(mode="json", include={"heads"})}, "--sites")


def _recipe(wish: Wish, where: Mapping[str, str], counts: Mapping[str, Patient]) -> dict[str, Any]:
    """How to do it again, how to tell that it is the same, and what came of it."""
    members = Counter(where.values())
    return {
        "command": wish.command,
        "mtmed": __version__,
        "numpy": np.__version__,  # with another one the same seed may deal differently
        "sha256": sha256(partition.table(where).encode()).hexdigest(),
        "counts": {
            site: {
                "patients": members[site],
                "images": count.images,
                "labels": {key: _stated(c) for key, c in sorted(count.labels.items())},
            }
            for site, count in counts.items()
        },
    }


def _stated(count: Count) -> dict[str, int]:
    return {"labelled": count.labelled} | ({} if count.positive is None else {"positive": count.positive})


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(content), default_flow_style=None, sort_keys=False, width=10_000, allow_unicode=True)


def _write(out: Path, table: str, described: Mapping[str, Any]) -> None:
    """Both files; another partition is not overwritten: somebody's federation may be made of it."""
    if _holds_other(out, table, described["sites"]):
        raise UserError(f"--out {out} holds another partition: name a new file, or remove this one and its .yaml")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(table, encoding="utf-8")
        out.with_suffix(".yaml").write_text(_yaml(described), encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error.strerror}") from error


def _holds_other(out: Path, table: str, sites: Sites) -> bool:
    """Whether other patients, or sites of other settings (a scanner's), were written under this name."""
    beside = out.with_suffix(".yaml")
    try:
        if out.exists() and out.read_text(encoding="utf-8") != table:
            return True
        return beside.exists() and yaml.safe_load(beside.read_text(encoding="utf-8"))["sites"] != sites
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return True  # something else altogether


def _told(wish: Wish, where: Mapping[str, str], counts: Mapping[str, Patient]) -> Iterator[str]:
    members, everybody = Counter(where.values()), total(counts.values())
    rows = [["", *counts, "all"]]
    rows.append(["patients", *(str(members[site]) for site in counts), str(len(where))])
    rows.append(["images", *(str(c.images) for c in (*counts.values(), everybody))])
    for key in sorted(everybody.labels):
        rows.append([key, *(_cell(c.labels.get(key, Count())) for c in (*counts.values(), everybody))])
    yield from _columns(rows)
    yield ""
    yield "of a label: positive/labelled images; a number alone: labelled images (masks are not opened for this)"
    yield f"written: {wish.out} and {wish.out.with_suffix('.yaml')}; they name patients: keep a hospital's out of git"
    yield ""


def _cell(count: Count) -> str:
    return str(count.labelled) if count.positive is None else f"{count.positive}/{count.labelled}"


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        yield "  ".join([name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells, widths[1:], strict=True))])
