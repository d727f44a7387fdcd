"""A site as its own process knows it: its name, where its data are, what is its own."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mtmed.config import Config
from mtmed.data import store
from mtmed.errors import UserError
from mtmed.validation import one_line
from tasks.exchange import Exchange


class SiteFile(BaseModel):
    """site.yaml, which only the site has: the coordinator never learns these paths.

    Attributes:
        start: the file of a model that the site brings, if it does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str
    data: str
    state: str
    exchange: str
    start: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a site works: prepared samples, its own state (never shared), the exchange, and the model it brings."""

    site: str
    data: Path
    state: Path
    exchange: Exchange
    start: Path | None = None

    def stopped(self, name: str) -> Path:
        """The folder for what is kept of a piece of work that stopped."""
        return self.state / "stopped" / name

    def digest(self) -> str:
        """The version of the site's data."""
        if not (self.data / "index.json").is_file():
            raise UserError(f"site {self.site!r} has no prepared data: run `dvc repro prepare@{self.site}` first")
        return store.digest(self.data)


def from_file(path: Path) -> Place:
    """The place that a site's own file describes.

    Raises:
        UserError: no such file, or one that says too little or too much.
    """
    if not path.is_file():
        raise UserError(f"no site file at {path}: expected a YAML file with site, data, state and exchange")
    try:
        raw = SiteFile.model_validate(yaml.safe_load(path.read_text()))
    except ValidationError as error:
        raise UserError(f"{path}: {one_line(error, SiteFile)}") from error
    start = None if raw.start is None else Path(raw.start)
    return Place(raw.site, Path(raw.data), Path(raw.state), Exchange(raw.exchange), start)


def on_this_machine(config: Config, site: str) -> Place:
    """The place of a site whose data are here, as `dvc repro` prepares them."""
    exchange = Exchange(config.federation.exchange)
    start = config.sites[site].start
    own = None if start is None else Path(start)
    return Place(site, Path("data/prepared") / site, Path(".mtmed/sites") / site, exchange, own)
