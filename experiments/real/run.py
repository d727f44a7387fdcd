"""One fold of the real federation, in a working folder of its own beside this one.

    python -m experiments.real.run --data <folder of manifests> --fold 0 [--set federation.strategy=fedavg]

The working folder (experiments/real-<name>, ignored by git) is a small DVC project without git: its lock file
holds hashes of data that are not ours to publish, and neither they nor the data's path enter the repository.
"""

import subprocess
import sys
from pathlib import Path
from shutil import copyfile
from typing import Annotated, Any

import typer
import yaml

from flows.mistakes import one_line
from flows.served import server_for
from mtmed import config
from mtmed.errors import UserError

HERE = Path(__file__).parent
MANIFESTS = ("cxr_open", "cxr_multisite_ncsa", "cxr_opacity_ncsa", "mammo_mias")


def run(data: Path, changes: dict[str, Any], name: str) -> Path:
    """Reproduce the chain with the changes {dotted key: value} of params.yaml; the working folder.

    Raises:
        UserError: the data folder lacks a manifest, or a stage failed.
    """
    for manifest in MANIFESTS:
        if not (data / manifest / "manifest.csv").is_file():
            raise UserError(f"no {manifest}/manifest.csv in {data}: expected a folder with {', '.join(MANIFESTS)}")
    folder = HERE.with_name(f"real-{name}")
    _lay_out(folder, data.resolve(), changes)
    with server_for() as environment:
        done = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=folder, env=environment)
    if done.returncode:
        raise UserError(f"`dvc repro` failed in {folder}: the lines above say which stage and why")
    return folder


def _lay_out(folder: Path, data: Path, changes: dict[str, Any]) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    if not (folder / ".dvc").is_dir():
        subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=folder, check=True)
    copyfile(HERE / "dvc.yaml", folder / "dvc.yaml")
    params = yaml.safe_load((HERE / "params.yaml").read_text())
    for key, value in changes.items():
        config.change(params, key, value)
    config.parse(params, "the changed params.yaml")
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for link, target in ((folder / "data" / "raw", data), (folder / "weights", HERE.parents[1] / "weights")):
        link.unlink(missing_ok=True)
        link.symlink_to(target, target_is_directory=True)


def main(
    data: Annotated[Path, typer.Option(help="the folder of manifests")],
    fold: Annotated[int, typer.Option(help="the fold of patients that is the test set, from 0")] = 0,
    set: Annotated[list[str] | None, typer.Option(help="key=value of params.yaml, repeatable")] = None,
) -> None:
    """Federate, evaluate and report one fold; prints where the global model lies."""
    changes = {"split.fold": fold, **dict(text.partition("=")[::2] for text in set or [])}
    name = "-".join([f"fold-{fold}", *(text.replace("=", "-").replace(".", "-") for text in set or [])])
    with one_line():
        folder = run(data, changes, name)
    print(f"global model: {folder / 'models/calibrated/global.safetensors'}")
    print(f"report:       {folder / 'reports/index.html'}")


if __name__ == "__main__":
    typer.run(main)
