"""From finished pieces to a prepared site: shards, counts, quarantine, flags, and the report."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtmed.data import report, store
from mtmed.data.identity import keep_names
from mtmed.data.likeness import near_pairs
from mtmed.data.summary import Summary, Tally
from mtmed.data.work import Work
from mtmed.errors import UserError
from mtmed.types import HeadSpec

Lines = list[tuple[str, ...]]
Twins = tuple[store.StoredStudy, store.StoredStudy, int]


def finish(
    site: str,
    heads: Mapping[str, HeadSpec],
    work: Work,
    pieces: int,
    out: Path,
    private: Path,
    about: Mapping[str, str],
) -> Summary:
    """Move the pieces to `out` and write what is to be known of them there; the names go to `private`.

    Args:
        about: what the report says of the source.

    Raises:
        UserError: nothing of the site can be used.
    """
    refused = [tuple(entry) for record in work.records(pieces) for entry in record["refused"]]
    flags = [tuple(entry) for record in work.records(pieces) for entry in record["flags"]]
    hashes = [bytes.fromhex(hash_) for record in work.records(pieces) for *_, hash_ in record["hashes"]]
    tally = _tallied(site, heads, work, pieces, refused)
    keep_names(private, (tuple(entry) for record in work.records(pieces) for entry in record["names"]))
    work.hand_over(out, pieces)
    shards = store.shards(out)
    twins = _twins(hashes, shards)
    flags += [_said_of(*pair) for pair in twins]
    summary = tally.summary(site, (reason for _, reason, _ in refused), (kind for _, kind, _ in flags))
    store.write_text(out / "quarantine.csv", _csv(("study", "reason"), [entry[:2] for entry in refused]))
    store.write_text(out / "flags.csv", _csv(("study", "kind", "what"), flags))
    store.write_text(out / "summary.json", json.dumps(summary.as_dict(), indent=2) + "\n")
    page = report.render(summary, about, shards, heads, refused, flags, [pair for *pair, _ in twins])
    store.write_text(out / "report.html", page)
    work.clear()
    return summary


def _tallied(site: str, heads: Mapping[str, HeadSpec], work: Work, pieces: int, refused: Lines) -> Tally:
    """The counts of all pieces.

    Raises:
        UserError: there is no study, or no label.
    """
    tally = Tally(heads)
    for number in range(pieces):
        if work.shard(number).is_file():
            tally.add(store.Shard(work.shard(number)).entries())
    if not tally.studies:
        first = f"; the first of {len(refused)} refusals: {refused[0][1]}" if refused else ""
        raise UserError(f"site {site!r}: no study can be used{first}")
    if not any(labelled.any() for labelled, _ in tally.labels.values()):
        raise UserError(f"site {site!r}: no study is labelled for any head; see `options.heads` of its data set")
    return tally


def _twins(hashes: Sequence[bytes], shards: Sequence[store.Shard]) -> list[Twins]:
    """Studies whose pictures are nearly that of an earlier one: the first such, it, and how many there are.

    Once each: of a thousand pictures that are all alike, half a million pairs would tell nothing.
    """
    earlier: dict[int, list[int]] = {}
    for a, b in near_pairs(np.array([np.frombuffer(h, np.uint16) for h in hashes])):
        earlier.setdefault(b, []).append(a)
    wanted = {index for b, others in earlier.items() for index in (b, min(others))}
    every = store.studies(shards) if wanted else ()
    found = {index: study for index, study in enumerate(every) if index in wanted}
    return [(found[min(others)], found[b], len(others)) for b, others in sorted(earlier.items())]


def _said_of(a: store.StoredStudy, b: store.StoredStudy, alike: int) -> tuple[str, str, str]:
    more = f"; like {alike - 1} more" if alike > 1 else ""
    if a.patient == b.patient:
        return b.study, "near-duplicate", f"like {a.study} of the same patient{more}"
    where = f"in {a.split} and {b.split}" if a.split != b.split else f"both in {a.split}"
    return b.study, "near-duplicate", f"like {a.study} of another patient, {where}{more}"


def _csv(header: tuple[str, ...], lines: Iterable[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    return text.getvalue()
