"""A site's view of the global model: with the parameters that its strategy leaves to each site."""

from collections.abc import Mapping

from torch import Tensor

from mtmed import checkpoint
from mtmed.config import Config
from mtmed.container import Known
from mtmed.errors import UserError
from mtmed.models.multitask import build
from tasks.jobs import Job, refused_key, update_key
from tasks.site import Place


def with_own(
    mean: Mapping[str, Tensor], place: Place, job: Job, config: Config, known: Known | None = None
) -> dict[str, Tensor]:
    """The global model's values, but for those that the site keeps: they are from its update of the last round.

    A site whose update was refused has nothing of its own, and takes what the others have.

    Args:
        known: has the values of that update; without it, the exchange has.

    Raises:
        UserError: the update is lost.
    """
    kept = config.strategy.personal.names(build(config.architecture))
    key = update_key(job.run, job.round - 1, place.site)
    if not kept or job.round == 0 or place.exchange.exists(refused_key(job.run, job.round - 1, place.site)):
        return dict(mean)
    if not place.exchange.exists(key):
        raise UserError(
            f"the exchange has lost the last update of site {place.site!r}, and with it the parameters that the "
            "strategy leaves to the site: federate again"
        )
    own = known(key) if known else checkpoint.read_mean(place.exchange.get(key), key)
    return {name: own[name] if name in kept else value for name, value in mean.items()}
