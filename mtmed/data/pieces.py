"""Pieces of a preparation: some hundreds of studies each, made in parallel, kept as soon as they are done."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from mtmed.data import store
from mtmed.data.identity import pseudonym
from mtmed.data.raw import RawStudy
from mtmed.data.sample import Made, Recipe, Refused, make
from mtmed.data.work import Work
from mtmed.data.workers import available, workers

PIECE_BYTES, PIECE_STUDIES = 64_000_000, 1024  # of images in a shard: few large files, and little lost by a kill
LIMIT_S = 120.0  # seconds for one study; the largest mammograms take about two
PICTURES = 8  # refused studies of a piece whose picture is kept for the report

Answers = Callable[[], Iterator[Made | Refused]]


@dataclass
class Piece:
    """What became of the studies of a piece.

    Attributes:
        rows: of its shard.
        hashes: (study, digest, perceptual hash) of each row, in hexadecimal.
        refused: (study, reason, PNG in base64 or empty).
        flags: (study, kind, what).
        names: (study, the source's name of it, patient, the source's name of them); the others are pseudonyms.
    """

    rows: list[store.Row] = field(default_factory=list)
    hashes: list[tuple[str, str, str]] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    flags: list[tuple[str, str, str]] = field(default_factory=list)
    names: list[tuple[str, str, str, str]] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """For JSON, without the rows."""
        return {name: value for name, value in vars(self).items() if name != "rows"}

    def refuse(self, study: str, refused: Refused) -> None:
        """Put a study into quarantine."""
        shown = refused.thumbnail if sum(bool(picture) for *_, picture in self.refused) < PICTURES else ""
        self.refused.append((study, refused.reason, shown))


class Pieces:
    """All pieces of a site; `count` of them once they are made."""

    def __init__(self, work: Work, recipe: Recipe, progress: Callable[[str], None]) -> None:
        self.count = 0
        self._work, self._recipe, self._progress = work, recipe, progress
        self._seen: dict[str, str] = {}  # digests of pictures, and the studies that have them
        self._read = 0
        self._refused: Counter[str] = Counter()  # kinds of reasons

    def make(self, studies: Iterator[RawStudy], processes: int | None) -> None:
        """Make the pieces that are not there yet, and take note of those that are.

        Args:
            processes: as in `prepare`.
        """
        size = max(16, min(PIECE_STUDIES, PIECE_BYTES // (2 * self._recipe.size**2)))
        many = available() if processes is None else processes
        waiting: deque[tuple[list[RawStudy], Answers | None]] = deque()
        with workers(partial(make, recipe=self._recipe), many, LIMIT_S, Refused) as ask:
            for number, chunk in enumerate(iter(lambda: list(islice(studies, size)), [])):
                # while a piece is written the next one is under way
                waiting.append((chunk, None if self._work.record(number) else ask(chunk)))
                if len(waiting) > 1:
                    self._take(*waiting.popleft())
            while waiting:
                self._take(*waiting.popleft())

    def _take(self, chunk: list[RawStudy], answers: Answers | None) -> None:
        """Finish the next piece, or take note of it if it was finished before."""
        if answers is not None:
            piece = self._sorted(chunk, answers())
            self._work.finish(self.count, piece.rows, piece.record())
        record = self._work.record(self.count) or {}
        self._seen.update({digest: study for study, digest, _ in record["hashes"]})
        self.count += 1
        self._read += len(chunk)
        self._refused.update(reason.split(":")[0] for _, reason, _ in record["refused"])
        most = f", most of them: {self._refused.most_common(1)[0][0]}" if self._refused else ""
        self._progress(f"{self._read} studies read, {self._refused.total()} in quarantine{most}")

    def _sorted(self, chunk: list[RawStudy], answers: Iterator[Made | Refused]) -> Piece:
        piece = Piece()
        key = self._recipe.key
        for study, answer in zip(chunk, answers, strict=True):
            name = pseudonym(key, "study", study.study)
            piece.names.append((name, study.study, pseudonym(key, "patient", study.patient), study.patient))
            self._sort(piece, name, answer)
        return piece

    def _sort(self, piece: Piece, name: str, answer: Made | Refused) -> None:
        if isinstance(answer, Refused):
            piece.refuse(name, answer)
            return
        digest = answer.digest.hex()
        if digest in self._seen:
            piece.refuse(name, Refused(f"duplicate: the same picture as {self._seen[digest]}"))
            return
        self._seen[digest] = name
        piece.rows.append(answer.row)
        piece.hashes.append((name, digest, answer.likeness.tobytes().hex()))
        piece.flags += [(name, kind, what) for kind, what in answer.flags]
