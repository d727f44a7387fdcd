"""A round in turns: who trains now and from what, and what the chains of sites send."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from mtmed import checkpoint
from mtmed.aggregation.incoming import Gate, Hops, Measured
from mtmed.aggregation.relay import as_one, chain_name, handed_on
from mtmed.config import Config
from mtmed.errors import UserError
from mtmed.types import SiteUpdate
from tasks.exchange import Exchange
from tasks.jobs import Job, refused_key, turns_key, update_key
from tasks.wire import addressed, coded_key, unpack

Answers = Sequence[dict[str, Any]]


class Turns:
    """The turns of one round.

    Attributes:
        answers: of the sites, in the order in which they trained.
        refused: {site: why what it left was not handed on}.
    """

    def __init__(
        self, config: Config, exchange: Exchange, run: str, jobs: Sequence[Job], before: Measured | None = None
    ) -> None:
        """`jobs`: those of the sites if all started at once; `before`: what the gate measured in the last round."""
        self.config, self.exchange, self.run, self.round = config, exchange, run, jobs[0].round
        self.jobs = {job.site: job for job in jobs}
        self.chains = config.strategy.order.chains(list(self.jobs), self.round, config.federation.rounds)
        self.hops = Hops(Gate(config.federation.gate.move, config.federation.gate.precision), before)
        self.taken: list[list[str]] = [[] for _ in self.chains]
        self.asked: dict[str, Job] = {}  # in this turn, as the sites got them
        self.answers: list[dict[str, Any]] = []
        self.refused: dict[str, str] = {}

    def __iter__(self) -> Iterator[list[Job]]:
        """The jobs of each turn; `take` their answers before the next."""
        for turn in range(max(map(len, self.chains))):
            sites = [chain[turn] for chain in self.chains if turn < len(chain)]
            self.asked = {site: addressed(self.config, self.exchange, self.jobs[site]) for site in sites}
            yield list(self.asked.values())

    def take(self, answers: Answers) -> None:
        """Hand on what the sites left; a site whose update is refused hands on what it came from."""
        for answer, job in zip(answers, self.asked.values(), strict=True):
            # whatever a site says, its work is that of the job
            answer = {**answer, "site": job.site, "key": _expected_key(self.exchange, job)}
            self.answers.append(answer)
            number, chain = next((n, c) for n, c in enumerate(self.chains) if job.site in c)
            start = self.jobs[job.site].models["start"]
            try:
                unpack(self.exchange, job, answer)
                if len(chain) > 1:  # else the aggregation looks at it
                    start = self._hand_on(answer)
                self.taken[number].append(job.site)
            except UserError as error:
                self._refuse(job.site, answer["key"], str(error))
            for site in chain[chain.index(job.site) + 1 :]:
                self.jobs[site] = _from(self.jobs[site], start)

    def refuse(self, found: Mapping[str, str]) -> dict[str, str]:
        """{site: why} of all that was refused in the round; of a chain that the merge refused, all its sites."""
        members = self._members()
        for name, why in found.items():
            if name in self.jobs:
                self.refused[name] = why
                continue
            for site in members[name]:
                self._refuse(site, update_key(self.run, self.round, site), f"in a chain with others, {why}")
        return self.refused

    def updates(self) -> dict[str, str]:
        """{site or chain: the key of what it sends}."""
        return {name: self._sent(name, sites) for name, sites in self._members().items()}

    def shares(self, found: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
        """{head: {site: share}} of those of chains: each site's part is that of its labelled images.

        Parts are alike in the encoder, and where no site of a chain has any.
        """
        labelled, members = {a["site"]: a["labelled"] for a in self.answers}, self._members()
        out: dict[str, dict[str, float]] = {}
        for head, shares in found.items():
            out[head] = {}
            for name, share in shares.items():
                counts = {site: labelled[site].get(head, 1) for site in members[name]}
                if not any(counts.values()):
                    counts = dict.fromkeys(counts, 1)
                out[head] |= {site: share * n / sum(counts.values()) for site, n in counts.items()}
        return out

    def forget(self) -> None:
        """Remove what was handed on."""
        self.exchange.remove(turns_key(self.run, self.round))

    def _refuse(self, site: str, key: str, why: str) -> None:
        self.refused[site] = why
        print(f"round {self.round + 1}: the update of {site} is not handed on: {why}", flush=True)
        if self.exchange.exists(key):
            self.exchange.move(key, refused_key(self.run, self.round, site))

    def _members(self) -> dict[str, list[str]]:
        """{site or chain: its sites}, but those that were refused."""
        return {chain_name(sites): sites for sites in self.taken if sites}

    def _sent(self, name: str, sites: Sequence[str]) -> str:
        """The key of what a chain sends, which is put there."""
        keys = [update_key(self.run, self.round, site) for site in sites]
        if len(sites) == 1:
            return keys[0]
        key = turns_key(self.run, self.round, name)
        with self._opened(keys) as updates:
            self.exchange.put(key, checkpoint.update_bytes(as_one(updates), short=False))
        return key

    def _hand_on(self, answer: dict[str, Any]) -> str:
        """Put what the next site of the chain starts from; its key.

        Raises:
            UserError: the update is refused.
        """
        site, came = answer["site"], self.jobs[answer["site"]].models["start"]
        model, architecture = checkpoint.read_model(self.exchange.get(came), came)
        before = update_key(self.run, self.round - 1, site)
        known = [before] if self.exchange.exists(before) else []
        with self._opened([answer["key"], *known]) as updates:
            if updates[0].site != site:
                raise UserError(f"it says that it is of site {updates[0].site!r}")
            self.hops.expect(model, updates[0])
            handed = handed_on(model, *updates)
            key = turns_key(self.run, self.round, f"after-{site}")
            self.exchange.put(key, checkpoint.model_bytes(self.config.strategy.told(handed), architecture))
        return key

    @contextmanager
    def _opened(self, keys: Sequence[str]) -> Iterator[list[SiteUpdate]]:
        with ExitStack() as files:
            yield [checkpoint.open_update(files.enter_context(self.exchange.as_file(key)), "it") for key in keys]


def _expected_key(exchange: Exchange, job: Job) -> str:
    """Where the job's update lies: what came in few bits, or the whole one."""
    return coded_key(job) if exchange.exists(coded_key(job)) else update_key(job.run, job.round, job.site)


def _from(job: Job, start: str) -> Job:
    return Job(job.site, job.run, job.round, {**job.models, "start": start}, job.config)
