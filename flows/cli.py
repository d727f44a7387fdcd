"""The command `mtmed`: a trained model on a user's own images, and whether everything is in place.

What is heavy (torch, timm, MLflow) is imported by the command that needs it: `mtmed --help` answers at once.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.mistakes import one_line
from mtmed import __version__

MODEL = "A .safetensors file, models:/NAME@champion or models:/NAME/3."
STORE = "MLflow store of a models:/ address; default: tracking.uri of ./params.yaml."

Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)]
Store = Annotated[str | None, typer.Option(metavar="URI", help=STORE)]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True)


def main() -> None:
    """The console script."""
    app(prog_name="mtmed")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mtmed {__version__}")
        raise typer.Exit


@app.callback()
def _mtmed(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Multi-task medical image models, trained by many hospitals that share no image.

    The chain itself (data, federation, evaluation, report) is `make demo` or `dvc repro`; these are the
    commands for a model that exists. A mistake is one line on stderr and exit status 2.
    """


@app.command()
def predict(
    model: Model,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="DICOM, PNG, JPEG, PGM or TIFF.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results; made if it is not there.")],
    modality: Annotated[
        str | None,
        typer.Option(metavar="M", help="mammography or chest_xray, where neither file nor model says."),
    ] = None,
    store: Store = None,
) -> None:
    """Predict images: masks, boxes, probabilities.

    All are in the pixels of the image. Of film.dcm it writes, to DIR and nowhere else,

    \b
      film.json                  probabilities, boxes (x1 y1 x2 y2, all above a score of 0.05), the area
                                 of each mask, the names of the mask files, modality, spacing in mm, and
                                 the model's round and lineage
      film.HEAD.CLASS.png        a mask of the image's own size: 255 where the probability exceeds 0.5
      film.overlay.png           to look at; boxes above a score of 0.3

    Only heads that serve the image's modality speak. A second image named film becomes film-2; the same
    image again replaces its own results. An image that cannot be used is one line on stderr; the others go
    on, and the exit status is 2. For research; not for diagnosis.
    """
    with one_line():
        from tasks.predict_files import predict_files

        failed = predict_files(model, images, out, modality, store, print, _warn("error: "))
    if failed:
        raise typer.Exit(2)


@app.command()
def evaluate(
    model: Model,
    manifest: Annotated[
        Path,
        typer.Argument(metavar="MANIFEST", help="A CSV with one row per image, or the folder of manifest.csv."),
    ],
    json: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the metrics.")],
    mapping: Annotated[Path | None, typer.Option(metavar="FILE.yaml", help="Which columns hold which labels.")] = None,
    store: Store = None,
) -> None:
    """Measure a model on images of a manifest.

    FILE will hold {head: {metric: value, ..., images: n, patients: n}, quarantined: n}. Every row counts;
    there is no split. The manifest needs the columns `image` (relative to it) and `patient_id`; the usual
    columns are understood (lesion_mask, lung_mask, opacity_mask, lesion_boxes, label, view or modality).
    Others are named in a mapping; docs/mapping.md has all its keys:

    \b
      modality: chest_xray
      where: {source: [our_hospital]}
      heads:
        lung_segmentation: {mask: outline, values: {lung: [255]}}
        pneumonia: {column: finding, positive: {pneumonia: [Pneumonia]}, negative: [Normal]}
        lesion_detection: null      # not labelled here

    A label that is not there is unknown, never negative. Predictions are brought back to each image's own
    size and compared with the mask and the boxes as they were drawn: Dice is of full-size masks. (The
    report of a federation compares at the network's resolution; its Dice may differ by a little.)
    A row that cannot be read is listed on stderr and counted as "quarantined"; heads that no row labels
    are absent.
    """
    with one_line():
        from tasks.evaluate_manifest import evaluate_manifest

        result = evaluate_manifest(model, manifest, json, mapping, store, _warn(""))
    for line in _table(result):
        print(line)


@app.command()
def doctor(
    params: Annotated[Path, typer.Option(metavar="FILE", help="The configuration to check.")] = Path("params.yaml"),
) -> None:
    """Check that everything is in place.

    Versions, processor, configuration, servers, data, folders: ok, warn or FAIL, a line each with its remedy.
    Exit status 1 if anything is FAIL. Data that are not there yet are a warning.
    """
    from tasks.check_installation import check_installation
    from tasks.check_project import check_project

    failed = False
    for checks in (check_installation(), check_project(params)):
        for check in checks:
            print(check, flush=True)
            failed |= check.status == "FAIL"
    if failed:
        raise typer.Exit(1)


@app.command()
def datasets() -> None:
    """List the readers of data sets.

    They are what `sites.NAME.dataset` in params.yaml may say.
    """
    from mtmed.datasets import described

    for name, text in described().items():
        print(f"{name:<12} {text}")


def _warn(prefix: str) -> Callable[[str], None]:
    return lambda text: print(f"{prefix}{' '.join(text.split())}", file=sys.stderr, flush=True)


def _table(result: dict[str, Any]) -> Iterator[str]:
    heads = {name: values for name, values in result.items() if isinstance(values, dict)}
    width = max(len(name) for name in heads)
    for head, values in heads.items():
        counts = f"{values['images']} images of {values['patients']} patients"
        metrics = ", ".join(f"{k} {v:.3f}" for k, v in values.items() if k not in ("images", "patients"))
        yield f"{head:<{width}}  {counts}: {metrics or 'no metric is defined'}"
    yield f"{'quarantined':<{width}}  {result['quarantined']}"


if __name__ == "__main__":
    main()
