"""An encoder that has learnt elsewhere: on hospitals like those of the cell, and on patients that none of them has."""

from pathlib import Path

from safetensors.torch import save_file

from benchmarks.federate import cells
from benchmarks.federate.simulate import alone
from mtmed import checkpoint
from mtmed.pretrained import from_file

PATH = Path("weights/elsewhere.safetensors")
SEED = "900"  # of patients and of training; cells have others
ENCODER = "encoder."


def pretrain() -> None:
    """Train one model on the pooled studies, as the base cell's reference is, and keep its encoder as weights."""
    config = cells.BASE.config({}, SEED)
    train, _ = cells.BASE.sites(config, SEED, None)
    net = alone(config, [study for studies in train.values() for study in studies], "pooled")
    values = checkpoint.weights(net).items()
    PATH.parent.mkdir(exist_ok=True)
    save_file({name.removeprefix(ENCODER): v for name, v in values if name.startswith(ENCODER)}, PATH)
    from_file(PATH, config.model.encoder, config.image.size)  # fits, or says what does not
