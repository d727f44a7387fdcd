"""What the coordinator asks of a site: plain values that travel as a flow's parameters, no tensors, no paths."""

import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from mtmed import config as configuration
from mtmed.config import Config
from mtmed.errors import UserError

RUN = re.compile("[0-9a-z]+")  # it becomes a folder's name in the site's own state


@dataclass(frozen=True)
class Job:
    """One piece of work for one site.

    Attributes:
        site: the site's name.
        run: the key of the federation's state in the exchange.
        round: counted from 0; for the evaluation the number of rounds done.
        models: keys in the exchange by the model's name; training starts from `start`.
        config: the configuration, as params.yaml states it.
    """

    site: str
    run: str
    round: int
    models: dict[str, str]
    config: dict[str, Any]

    def parsed(self) -> Config:
        """The configuration, checked again where the work is done."""
        return configuration.parse(self.config, "the coordinator's configuration")

    def as_parameters(self) -> dict[str, Any]:
        """What Prefect sends."""
        return asdict(self)


def accept(raw: dict[str, Any], site: str) -> Job:
    """A job that came over the network, checked by the site that shall do it.

    Raises:
        UserError: it is for another site, or its fields are not a job's.
    """
    expected = {f.name for f in fields(Job)}
    if raw.keys() != expected:
        odd = sorted(raw.keys() ^ expected)
        raise UserError(f"site {site!r} was sent a job with other fields: {', '.join(odd)}; update both sides")
    if raw["site"] != site:
        raise UserError(f"site {site!r} was sent the job of site {raw['site']!r}: check the deployments' names")
    job = Job(**raw)
    if not (isinstance(job.run, str) and RUN.fullmatch(job.run) and isinstance(job.round, int) and job.round >= 0):
        raise UserError(
            f"site {site!r} was sent run {job.run!r}, round {job.round!r}, which name no work of a federation"
        )
    return job


def update_key(run: str, round: int, site: str) -> str:
    """Where a site's update of a round lies in the exchange."""
    return f"{run}/round-{round:03d}/{site}.safetensors"


def model_key(run: str, round: int) -> str:
    """Where the global model after `round` aggregations lies in the exchange."""
    return f"{run}/round-{round:03d}/global.safetensors"


def refused_key(run: str, round: int, site: str) -> str:
    """Where an update that was refused is kept."""
    return f"{run}/refused/{round:03d}-{site}.safetensors"


def server_key(run: str, round: int) -> str:
    """Where the server's optimiser keeps what it remembers after `round` aggregations."""
    return f"{run}/round-{round:03d}/server.safetensors"


def turns_key(run: str, round: int, name: str = "") -> str:
    """Where what the sites of a round hand on lies in the exchange, until the round is aggregated."""
    return f"{run}/round-{round:03d}/turns" + (f"/{name}.safetensors" if name else "")


def alone_key(run: str, site: str) -> str:
    """Where the model that a site trained alone lies in the exchange, if the ensemble of all of them is wanted."""
    return f"{run}/alone/{site}.safetensors"


def pooled_key(run: str) -> str:
    """Where the model trained on the data of all sites lies in the exchange, if there is one."""
    return f"{run}/pooled.safetensors"


def calibration_key(run: str, site: str) -> str:
    """Where a site's calibration lies in the exchange."""
    return f"{run}/calibration/{site}.json"


def calibrated_key(run: str, model: str) -> str:
    """Where a model with its temperatures lies in the exchange."""
    return f"{run}/calibrated/{model}.safetensors"


def evaluation_key(run: str, site: str) -> str:
    """Where a site's evaluation lies in the exchange."""
    return f"{run}/evaluation/{site}.json"


def answer_key(work: str, job: Job) -> str:
    """Where a site's answer to a job lies in the exchange."""
    return f"{job.run}/answers/{work}-{job.round:03d}-{job.site}.json"


def round_key(run: str, round: int) -> str:
    """Where the record of a finished round lies; its presence says that the round is done."""
    return f"{run}/round-{round:03d}/round.json"
