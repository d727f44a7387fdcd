"""The likelihood of a site's validation patients at each temperature: sums leave, from which one temperature comes."""

from collections.abc import Sequence
from typing import Any

from mtmed import checkpoint
from mtmed.config import Config
from mtmed.data import store
from mtmed.evaluation import exchange as text
from mtmed.evaluation.temperature import SCALED, curve
from mtmed.models.multitask import MultiTask
from mtmed.registry import find
from mtmed.training.observe import observe
from mtmed.types import LikelihoodCurve, SiteCalibration, Study
from tasks.jobs import Job, calibration_key
from tasks.personal import with_own
from tasks.site import Place
from tasks.stopped import or_stopped


def calibrate_site(place: Place, job: Job) -> dict[str, Any]:
    """Put the site's `SiteCalibration` of the job's models into the exchange; {site, key, sent}."""
    config = job.parsed()
    studies = store.read(place.data, "validation")
    curves = or_stopped(
        f"site {place.site!r}, calibration",
        place.stopped(f"{job.run}-calibration"),
        lambda: {name: curves_of(_network(place, job, name, config), studies) for name in job.models},
    )
    key = calibration_key(job.run, place.site)
    sent = place.exchange.put(key, text.to_json(SiteCalibration(place.site, curves)).encode())
    return {"site": place.site, "key": key, "sent": sent}


def _network(place: Place, job: Job, name: str, config: Config) -> MultiTask:
    mean = checkpoint.read_mean(place.exchange.get(job.models[name]), job.models[name])
    return checkpoint.network(with_own(mean, place, job, config) if name == "global" else mean, config.architecture)


def curves_of(net: MultiTask, studies: Sequence[Study]) -> dict[str, LikelihoodCurve]:
    """The curve of each head that gives probabilities and that the studies label."""
    out = {}
    for head, (observations, _) in observe(net, studies).items():
        kind = find("mtmed.heads", net.decoder(head).spec.kind, "head kind")
        if kind.FORM in SCALED:
            probability, truth = kind.probabilities(observations)
            out[head] = curve(probability, truth, len(observations))
    return out
