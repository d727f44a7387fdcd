"""Where a site's work meets NaN or infinity: what the site keeps of it, and what may be said of it elsewhere.

The last good state and the pseudonyms of the images stay in the site's own state. The error that travels, to the
coordinator and to Prefect's server, says head, step and file, and no study.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from safetensors.torch import save_file

from mtmed import checkpoint
from mtmed.errors import NotFinite, UserError
from mtmed.models.multitask import MultiTask
from mtmed.training.optimizer import Moments
from mtmed.types import GlobalModel

T = TypeVar("T")


@dataclass(frozen=True)
class Trained:
    """What a training changes in place: network and moments; and what a model file says of its origin."""

    net: MultiTask
    kept: Moments
    round: int
    lineage: dict[str, str]


def or_stopped(who: str, folder: Path, work: Callable[[], T], trained: Trained | None = None) -> T:
    """What `work` returns.

    Args:
        who: does it; the error's first words.
        folder: in the state of `who`; nothing is written there while all goes well.
        trained: by `work`.

    Raises:
        UserError: it met a number that is not finite. `folder` then holds why.json with the pseudonyms of the images,
            and model.safetensors and moments.safetensors after the last good step if something was trained.
    """
    try:
        return work()
    except NotFinite as error:
        _keep(folder, error, trained)
        said = str(error)
    # outside of `except`: the error that travels must not drag along the one that knows the studies
    raise UserError(
        f"{who}: {said}; why.json in stopped/{folder.name} of its own state folder names the studies: mend or remove "
        "them, or lower training.learning_rate, and run again"
    )


def _keep(folder: Path, error: NotFinite, trained: Trained | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if trained:
        model = GlobalModel(trained.round, checkpoint.weights(trained.net), lineage=trained.lineage)
        (folder / "model.safetensors").write_bytes(checkpoint.model_bytes(model, trained.net.architecture))
        save_file(trained.kept, folder / "moments.safetensors")
    why = {"what": error.what, "head": error.head, "step": error.step, "studies": error.studies}
    (folder / "why.json").write_text(json.dumps(why, indent=1) + "\n")
