"""A site's view of the global model: with the parameters that its strategy leaves to each site."""

from collections.abc import Mapping

from torch import Tensor

from mtmed import checkpoint
from mtmed.config import Config
from mtmed.container import Known
from mtmed.models.multitask import build
from tasks.jobs import Job, update_key
from tasks.site import Place


def with_own(
    mean: Mapping[str, Tensor], place: Place, job: Job, config: Config, known: Known | None = None
) -> dict[str, Tensor]:
    """The global model's values, but for those that the site keeps: they are from its update of the last round.

    A site that took no part in the last round has nothing of its own, and takes what the others have.

    Args:
        known: has the values of that update; without it, the exchange has.
    """
    kept = config.strategy.personal.names(build(config.architecture))
    key = update_key(job.run, job.round - 1, place.site)
    if not (kept and place.exchange.exists(key)):
        return dict(mean)
    own = known(key) if known else checkpoint.read_mean(place.exchange.get(key), key)
    return {name: own[name] if name in kept else value for name, value in mean.items()}
