"""The model that everyone starts from, made once by the coordinator and put into the exchange.

Sites, and whoever trains a reference, take it from there: they need neither the file of weights nor a network.
"""

from pathlib import Path

from torch import Tensor

from mtmed import checkpoint, lineage
from mtmed.config import Config
from mtmed.errors import UserError
from mtmed.models.multitask import build
from mtmed.pretrained import Missing, Weights, from_file, from_hub
from mtmed.types import GlobalModel
from tasks.exchange import Exchange

SCRATCH = "missing"  # the weights were wanted, were not there, and params.yaml said to go on


def settled(config: Config) -> Config:
    """The configuration that names its pretrained weights by what they are, with the initial model in the exchange.

    What follows needs the weights' file and the network no more. Another file is another configuration: it has another
    lineage, and is another run.

    Raises:
        UserError: as `weights`.
    """
    found = weights(config)
    named = None if config.model.pretrained is None else SCRATCH if found is None else f"sha256:{found.sha256}"
    config = started_from(config, named)
    exchange = Exchange(config.federation.exchange)
    if not exchange.exists(initial_key(config)):
        model = GlobalModel(0, _initial(config, found), lineage=origin(config))
        exchange.put(initial_key(config), checkpoint.model_bytes(model, config.architecture))
    return config


def weights(config: Config) -> Weights | None:
    """The pretrained weights; None where none are wanted, or where they are missing and may be.

    Raises:
        UserError: they are missing, or do not fit, or are no weights.
    """
    name, size = config.model.encoder, config.image.size
    source = config.model.pretrained
    if source is None:
        return None
    if source == SCRATCH or source.startswith("sha256:"):
        raise UserError(f"model.pretrained: expected hub or a file below weights/, where {source} lies nowhere")
    try:
        return from_hub(name, size) if source == "hub" else from_file(Path(source), name, size)
    except Missing as error:
        if config.model.pretrained_missing == "error":
            raise UserError(f"{error}; or say model.pretrained_missing: scratch") from error
        print(f"{error}. model.pretrained_missing is scratch: the encoder starts from scratch", flush=True)
        return None


def started_from(config: Config, named: str | None) -> Config:
    """The configuration with its pretrained weights named by what they are."""
    model = config.model.model_copy(update={"pretrained": named, "pretrained_missing": "error"})
    return config.model_copy(update={"model": model})


def origin(config: Config) -> dict[str, str]:
    """What the lineage of a model says of the weights that it started from."""
    return {} if config.model.pretrained is None else {"pretrained": config.model.pretrained}


def initial_key(config: Config) -> str:
    """Where the initial model of a settled configuration lies in the exchange."""
    whole = {"seed": config.federation.seed, "code": lineage.code()}
    depends = config.model_dump(mode="json", include={"heads", "image", "model"})
    return f"initial/{lineage.digest(depends | whole)}.safetensors"


def read_mean(exchange: Exchange, key: str) -> dict[str, Tensor]:
    """The initial weights at a key, as `Job.models` names it."""
    return checkpoint.read_mean(exchange.get(key), key)


def _initial(config: Config, found: Weights | None) -> dict[str, Tensor]:
    """Drawn from `federation.seed`; the encoder from the pretrained weights, if there are any."""
    drawn = checkpoint.weights(build(config.architecture, config.federation.seed))
    return drawn | ({} if found is None else {f"encoder.{name}": value for name, value in found.tensors.items()})
