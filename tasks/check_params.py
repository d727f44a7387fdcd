"""What must hold before anything runs: the names in params.yaml, the network they describe, the raw studies."""

from pathlib import Path

from mtmed.config import Config, load
from mtmed.data.prepare import studies
from mtmed.errors import UserError
from mtmed.phantoms import is_synthetic
from tasks.prepare_site import RAW, has_raw_studies


def trainable(params: str) -> Config:
    """The configuration, if it is right, its network can be built and its pretrained weights fit.

    Raises:
        UserError: a mistake in the file, an encoder that does not exist or gives no feature maps, or weights that are
            missing or do not fit.
    """
    config = _buildable(params)
    _expect_weights(config)
    return config


def _buildable(params: str) -> Config:
    config = load(params)
    from mtmed.models.multitask import build  # here, so that a mistake in the file itself is told at once

    build(config.architecture, config.federation.seed)
    return config


def _expect_weights(config: Config) -> None:
    from tasks.initial_model import weights

    weights(config)


def _expect_starts(config: Config) -> None:
    from tasks.brought import expect_fitting
    from tasks.site import on_this_machine

    for site in config.sites:
        expect_fitting(on_this_machine(config, site), config)


def check_params(params: str, mark: str) -> None:
    """Leave `mark`, always the same file, if the configuration is trainable and its sites have raw studies.

    Sites with processes of their own prepare their data with the consortium's params.yaml, and need no weights.

    Raises:
        UserError: as `trainable`, or a site without raw studies, or whose folder is not what its reader expects, or
            a phantom's folder that holds something else.
    """
    config = _buildable(params)
    if config.federation.dispatch == "local":
        _expect_weights(config)
        _expect_starts(config)
    for phantom in config.phantom:
        _expect_no_others(phantom)
    for site in config.sites:
        _expect_studies(config, site)
    Path(mark).parent.mkdir(parents=True, exist_ok=True)
    Path(mark).write_text("params.yaml can be run\n")


def _expect_no_others(phantom: str) -> None:
    """DVC empties a stage's folder before it runs: real images there would be gone."""
    folder = RAW / phantom
    if folder.is_dir() and any(folder.iterdir()) and not is_synthetic(folder):
        raise UserError(
            f"{folder} holds files that no phantom wrote, and the phantom {phantom!r} would replace them: move them "
            f"elsewhere and name that in sites, or take {phantom!r} out of phantom"
        )


def _expect_studies(config: Config, site: str) -> None:
    """Phantoms are still to be written, and what DVC tracks may still be pulled."""
    raw = Path(config.sites[site].raw)
    tracked = any(p.with_name(f"{p.name}.dvc").is_file() for p in (raw, *raw.parents) if p.name)
    if raw in {RAW / phantom for phantom in config.phantom} or (tracked and not raw.is_dir()):
        return
    if not has_raw_studies(config, site):
        raise UserError(
            f"site {site!r} has no raw studies: expected a folder with some at sites.{site}.raw, {raw}; put them "
            "there, or leave the site out of sites"
        )
    try:
        next(studies(config, site, raw), None)  # the reader looks at the folder, its tables and the site's options
    except UserError as error:
        raise UserError(f"site {site!r}: {error}") from error
