"""A site's raw studies -> checked, pseudonymous samples of one size, what was refused or flagged, and a report.

The studies are taken in pieces, in parallel, and a finished piece is kept: memory does not grow with their
number, and a killed preparation goes on where it was.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mtmed import datasets, lineage
from mtmed.config import Config
from mtmed.data.finish import finish
from mtmed.data.identity import pseudonym
from mtmed.data.partition import read_part
from mtmed.data.pieces import Pieces
from mtmed.data.raw import RawStudy
from mtmed.data.sample import Recipe
from mtmed.data.split import on_one_side
from mtmed.data.summary import Summary
from mtmed.data.work import UNFINISHED, Work, alone, listing
from mtmed.errors import UserError
from mtmed.specs import SiteSpec


@dataclass(frozen=True)
class Private:
    """What a site keeps to itself: the key of its pseudonyms, and a folder for what leads back from them."""

    key: bytes
    folder: Path


def prepare(
    name: str,
    config: Config,
    raw: Path,
    out: Path,
    private: Private,
    processes: int | None = None,
    progress: Callable[[str], None] = print,
) -> Summary:
    """Read every study of the site `name` under `raw`, and write what can be used of them to `out`.

    A study that cannot be used goes to `out/quarantine.csv` with the reason, one to look at to `out/flags.csv`, and the
    rest goes on. Nothing in `out` holds a name, a date or an identifier of the source; `private.folder` does.

    Args:
        processes: None: one per processor; 0: none, everything happens in this one, without a limit of time.

    Raises:
        UserError: the data set as a whole is not as expected, or nothing of it can be used.
    """
    site = config.sites[name]
    found = studies(config, name, raw)
    with alone(private.folder):
        work = Work(private.folder / UNFINISHED, _fingerprint(config, site, raw, private.key))
        recipe = Recipe(config.image.size, config.split, private.key, site.scanner)
        pieces = Pieces(work, recipe, lambda line: progress(f"{name}: {line}"))
        pieces.make(found, processes)
        summary = finish(name, config.heads, work, pieces.count, out, private.folder, _about(config, site))
    progress(f"{name}: {summary.studies} studies prepared")
    for where, kinds in (("quarantine.csv", summary.quarantined), ("flags.csv", summary.flagged)):
        for kind, count in kinds.items():
            progress(f"{name}: {count} in {where}: {kind}")
    return summary


def _about(config: Config, site: SiteSpec) -> dict[str, str]:
    """What the report says of the source, a line each."""
    card = datasets.cards()[site.dataset]
    seen = {"part": site.part, "scanner": site.scanner and f"simulated: {site.scanner}"}
    return {
        "data set": f"{card.title} ({site.dataset})",
        "licence": card.licence,
        **{name: str(said) for name, said in seen.items() if said},
        "size": f"{config.image.size} x {config.image.size} pixels",
        "beware": "; ".join(card.defects),
    }


def _fingerprint(config: Config, site: SiteSpec, raw: Path, key: bytes) -> str:
    """What the samples depend on; a piece that was made from anything else is made again."""
    said = config.model_dump(mode="json", include={"heads", "image", "split"})
    part = Path(site.part).read_text() if site.part and Path(site.part).is_file() else ""
    mark = pseudonym(key, "key", "")
    return lineage.digest([said, site.model_dump(mode="json"), part, mark, lineage.preparation(), listing(raw)])


def studies(config: Config, name: str, raw: Path) -> Iterator[RawStudy]:
    """The studies of the site `name` in `raw`, those of its part of the data set if it has but one.

    Raises:
        UserError: the folder is not what the site's reader expects, or an option does not fit.
    """
    if not raw.is_dir():
        raise UserError(f"no raw studies of site {name!r}: expected a folder at {raw}")
    site = config.sites[name]
    options = datasets.options(site.dataset).model_validate(site.options)
    patients = read_part(Path(site.part), name) if site.part else None

    def found() -> Iterator[RawStudy]:
        everyone = datasets.studies(site.dataset, raw, options, config.heads)
        return (s for s in everyone if patients is None or s.patient in patients)

    return on_one_side(found) if getattr(options, "split", "folds") == "official" else found()
