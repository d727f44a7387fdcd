"""What is installed, and what it runs on."""

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from mtmed.errors import UserError
from mtmed.training.device import autocast, pick
from tasks.check import FAIL, OK, WARN, Check

PYTHON = (3, 11)
NAMED = ("prefect", "fastapi", "mlflow", "dvc", "timm")  # a line each; the others share one
INSTALL = "install the versions of constraints.txt: make venv"


def check_installation() -> Iterator[Check]:
    """Versions, and the processor or GPU."""
    yield _python()
    yield _torch()
    yield from _requirements()
    yield _bfloat16()
    yield _gpu()


def _python() -> Check:
    good = sys.version_info >= PYTHON
    wanted = ".".join(map(str, PYTHON))
    return Check(OK if good else FAIL, "python", platform.python_version(), "" if good else f"needs {wanted} or newer")


def _torch() -> Check:
    """torch and torchvision are one build if torchvision's compiled operators load."""
    try:
        import torch
        import torchvision

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        return Check(FAIL, "torch", f"torchvision does not work with it: {first[:160]}", _same_build())
    both = f"{torch.__version__} with torchvision {torchvision.__version__}"
    builds = {str(v).partition("+")[2] for v in (torch.__version__, torchvision.__version__)}
    if len(builds) > 1:
        return Check(WARN, "torch", f"{both}: of different builds", _same_build())
    return Check(OK, "torch", f"{both}, operators load")


def _same_build() -> str:
    return "install both from one index, at once: make venv"


def _requirements() -> Iterator[Check]:
    """Each declared dependency against what is installed."""
    try:
        declared = [Requirement(text) for text in metadata.requires("mtmed") or []]
    except metadata.PackageNotFoundError:
        yield Check(FAIL, "mtmed", "not installed", INSTALL)
        return
    found = {r.name: _installed(r) for r in declared if r.marker is None and r.name not in ("torch", "torchvision")}
    yield from (check for name, check in found.items() if name in NAMED)
    others = [check for name, check in found.items() if name not in NAMED]
    bad = [check for check in others if check.status != OK]
    yield from bad
    yield Check(OK, "other packages", f"{len(others) - len(bad)} of {len(others)} as declared")


def _installed(requirement: Requirement) -> Check:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Check(FAIL, requirement.name, "not installed", INSTALL)
    if requirement.specifier.contains(version, prereleases=True):
        return Check(OK, requirement.name, version)
    return Check(FAIL, requirement.name, f"{version}: expected {requirement.specifier}", INSTALL)


def _bfloat16() -> Check:
    device = pick()
    try:
        with autocast("bfloat16", device):
            return Check(OK, "bfloat16", f"the {device.type} computes in it")
    except UserError:
        return Check(OK, "bfloat16", f"not on this {device.type}: training runs in float32 (precision: auto)")


def _gpu() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check(OK, "gpu", f"none: training runs on {torch.get_num_threads()} threads of the processor")
    return Check(OK, "gpu", str(torch.cuda.get_device_name(0)))
