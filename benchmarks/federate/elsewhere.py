"""An encoder that has learnt elsewhere: on hospitals like those of the cell, and on patients that none of them has."""

from pathlib import Path

from benchmarks.federate import cells
from benchmarks.federate.simulate import alone
from mtmed import checkpoint
from mtmed.types import GlobalModel

PATH = Path("weights/elsewhere.safetensors")
SEED = "900"  # of patients and of training; cells have others


def pretrain() -> None:
    """Train one model on the pooled studies, as the base cell's reference is, and keep it."""
    config = cells.BASE.config({}, SEED)
    train, _ = cells.BASE.sites(config, SEED, None)
    net = alone(config, [study for studies in train.values() for study in studies], "pooled")
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_bytes(checkpoint.model_bytes(GlobalModel(0, checkpoint.weights(net)), config.architecture))
