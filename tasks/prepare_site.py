"""Data at a site: the synthetic hospital's files, and from raw studies to the samples that training reads."""

from pathlib import Path
from typing import Any

from mtmed.config import Config
from mtmed.data.identity import PUBLIC, own_key
from mtmed.data.prepare import Private, prepare
from mtmed.errors import unknown
from mtmed.phantoms import is_synthetic, write

RAW, PREPARED = Path("data/raw"), Path("data/prepared")
PRIVATE = Path("private")  # keys, and the lists that lead back from pseudonyms: never an output of a stage


def has_raw_studies(config: Config, site: str) -> bool:
    """Whether the site's raw folder is there and holds something."""
    raw = Path(config.sites[site].raw)
    return raw.is_dir() and any(raw.iterdir())


def write_phantom(config: Config, site: str) -> str:
    """Write the synthetic hospital `site` to data/raw/<site>; the folder."""
    if site not in config.phantom:
        raise unknown("phantom site", site, config.phantom or {"(none)"})
    write(config.phantom[site], RAW / site)
    return str(RAW / site)


def prepare_site(config: Config, site: str, processes: int | None = None) -> dict[str, Any]:
    """Prepare the studies of `site` in data/prepared/<site>; the summary that summary.json holds."""
    if site not in config.sites:
        raise unknown("site", site, config.sites)
    folder = PRIVATE / site
    raw = Path(config.sites[site].raw)
    private = Private(PUBLIC if is_synthetic(raw) else own_key(folder), folder)
    return prepare(site, config, raw, PREPARED / site, private, processes).as_dict()
