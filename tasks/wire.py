"""What travels between the coordinator and the sites, in few bits: differences from what both of them have.

To a site goes how far its start is from what it sent in the last round (from the initial model, if it sent nothing);
from a site, how far it went. What the coordinator decodes it keeps whole, so that merges, evaluations and audits see
updates as they always are. docs/decisions/0029 has the reasons.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from mtmed import checkpoint
from mtmed.aggregation import coding
from mtmed.config import Config
from mtmed.container import Difference
from mtmed.errors import UserError
from mtmed.training.corrections._base import Others, others
from mtmed.types import GlobalModel, SiteUpdate
from tasks.exchange import Exchange
from tasks.initial_model import initial_key
from tasks.jobs import Job, turns_key, update_key
from tasks.memory import Memory
from tasks.site import Place


def addressed(config: Config, exchange: Exchange, job: Job) -> Job:
    """The job as its site gets it: where models are coded, with a start that is, put there for this site alone."""
    key, spec = job.models["start"], config.federation.coding
    if spec.bits == coding.WHOLE or not key.startswith(f"{job.run}/round-") or _first(job):
        return job
    base = update_key(job.run, job.round - 1, job.site)
    base = base if exchange.exists(base) else initial_key(config)
    if key == base:
        return job
    model, architecture = checkpoint.read_model(exchange.get(key), key)
    model = _for_others(config, exchange, model, update_key(job.run, job.round - 1, job.site))
    difference = Difference(base, _whole(exchange, base), spec.bits, spec.precision_bits)
    to = turns_key(job.run, job.round, f"to-{job.site}")
    exchange.put(to, checkpoint.model_bytes(model, architecture, difference))
    return replace(job, models={**job.models, "start": to})


def _for_others(config: Config, exchange: Exchange, model: GlobalModel, own: str) -> GlobalModel:
    """The model with what its site wants to know of the others, as `Others` has it: a total in few bits less the site's
    own, which is exact, would be anything."""
    wanted = config.strategy.correction
    if not (wanted.needs_precision or wanted.needs_gradient):
        return replace(model, precision={}, gradient={})
    known = others(model, checkpoint.read_update(exchange.get(own), own) if exchange.exists(own) else None)
    return replace(model, precision=known.precision, gradient=known.drift)


def unpack(exchange: Exchange, job: Job, answer: dict[str, Any]) -> None:
    """Put the update that a site sent in few bits where whole ones lie, and name that in the answer.

    Args:
        job: as the site got it; what the site sent can only be told from where the job let it start.

    Raises:
        UserError: it is none.
    """
    if answer["key"] != coded_key(job):
        return
    start = job.models["start"]

    def known(base: str) -> Mapping[str, Tensor]:
        if base != start:
            raise UserError(f"it says how it differs from {base!r}: expected {start!r}")
        return _whole(exchange, start)

    update = checkpoint.read_update(exchange.get(answer["key"]), "it", known)
    answer["key"] = update_key(job.run, job.round, job.site)
    exchange.put(answer["key"], checkpoint.update_bytes(update))


def coded_key(job: Job) -> str:
    """Where a site's coded update lies until it is unpacked."""
    return turns_key(job.run, job.round, f"from-{job.site}")


class SiteWire:
    """A site's end of the wire in one round.

    Attributes:
        received: bytes, until now.
    """

    def __init__(self, place: Place, job: Job, config: Config) -> None:
        self.place, self.job, self.coding = place, job, config.federation.coding
        self.sent, self.residual = (Memory(place.state, job.run, kind) for kind in ("sent", "residual"))
        self.received = 0

    def start(self) -> bytes:
        """The file of the model that the round starts from."""
        return self._get(self.job.models["start"])

    def known(self, key: str) -> Mapping[str, Tensor]:
        """The values of a file: the site's own if it is what the site sent, or fetched."""
        own = update_key(self.job.run, self.job.round - 1, self.place.site)
        kept = self.sent.read(self.job.round) if key == own else {}
        return kept or checkpoint.read_mean(self._get(key), key)

    def send(self, update: SiteUpdate, start: Mapping[str, Tensor]) -> tuple[str, int]:
        """Put an update into the exchange; its key, and its bytes.

        Args:
            start: the values of the file that the round started from.
        """
        key = update_key(self.job.run, self.job.round, self.place.site)
        if self.coding.bits == coding.WHOLE:
            return key, self.place.exchange.put(key, checkpoint.update_bytes(update))
        left = self.residual.read(self.job.round)
        wanted = {name: value + left[name] if name in left else value for name, value in update.mean.items()}
        base = self.job.models["start"]
        difference = Difference(base, start, self.coding.bits, self.coding.precision_bits)
        data = checkpoint.update_bytes(replace(update, mean=wanted), difference)
        decoded = checkpoint.read_mean(data, "the update", lambda _: start)
        self.sent.write(self.job.round, decoded)
        self.residual.write(self.job.round, {name: value - decoded[name] for name, value in wanted.items()})
        key = coded_key(self.job)
        return key, self.place.exchange.put(key, data)

    def others(self, model: GlobalModel) -> Others:
        """What the model that the round starts from says of the other sites."""
        if self.job.models["start"] == turns_key(self.job.run, self.job.round, f"to-{self.place.site}"):
            return Others(model.precision, model.gradient)  # it was made for this site
        own = update_key(self.job.run, self.job.round - 1, self.place.site)
        took_part = self.place.exchange.exists(own)  # and its update was not refused
        return others(model, checkpoint.read_update(self._get(own), own) if took_part else None)

    def _get(self, key: str) -> bytes:
        data = self.place.exchange.get(key)
        self.received += len(data)
        return data


def _whole(exchange: Exchange, key: str) -> Mapping[str, Tensor]:
    return checkpoint.read_mean(exchange.get(key), key, lambda base: _whole(exchange, base))


def _first(job: Job) -> bool:
    """Whether the start is the initial model, which a site that has nothing yet needs whole."""
    return job.round == 0 and "/turns/" not in job.models["start"]
