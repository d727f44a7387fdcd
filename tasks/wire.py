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
from mtmed.checkpoint import Difference
from mtmed.config import Config
from mtmed.types import SiteUpdate
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
    if not config.strategy.correction.needs_precision:
        model = replace(model, precision={})
    difference = Difference(base, _whole(exchange, base), spec.bits, spec.precision_bits)
    to = turns_key(job.run, job.round, f"to-{job.site}")
    exchange.put(to, checkpoint.model_bytes(model, architecture, difference))
    return replace(job, models={**job.models, "start": to})


def unpack(exchange: Exchange, answer: dict[str, Any]) -> None:
    """Put the update that a site sent in few bits where whole ones lie, and name that in the answer.

    Raises:
        UserError: it is none.
    """
    key = answer["key"]
    if "/turns/" in key:
        update = checkpoint.read_update(exchange.get(key), "it", lambda base: _whole(exchange, base))
        answer["key"] = key.replace("/turns/from-", "/")
        exchange.put(answer["key"], checkpoint.update_bytes(update))


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
        key = turns_key(self.job.run, self.job.round, f"from-{self.place.site}")
        return key, self.place.exchange.put(key, data)

    def _get(self, key: str) -> bytes:
        data = self.place.exchange.get(key)
        self.received += len(data)
        return data


def _whole(exchange: Exchange, key: str) -> Mapping[str, Tensor]:
    return checkpoint.read_mean(exchange.get(key), key, lambda base: _whole(exchange, base))


def _first(job: Job) -> bool:
    """Whether the start is the initial model, which a site that has nothing yet needs whole."""
    return job.round == 0 and "/turns/" not in job.models["start"]
