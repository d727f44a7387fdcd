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
ENGINE = f"{MODEL[:-1]}, or a .onnx file."
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
    commands for a model that exists, and for data before the chain. A mistake is one line on stderr and exit
    status 2.
    """


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=ENGINE)],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="DICOM, PNG, JPEG, PGM or TIFF.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results; made if it is not there.")],
    modality: Annotated[
        str | None,
        typer.Option(metavar="M", help="mammography or chest_xray, where neither file nor model says."),
    ] = None,
    uncertainty: Annotated[bool, typer.Option("--uncertainty", help="Write a map of each mask's entropy.")] = False,
    store: Store = None,
    tiles: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Look for masks and boxes in tiles of this side.")
    ] = None,
    tile_scale: Annotated[
        float | None, typer.Option(metavar="X", help="Pixels of the tiles per pixel of the image; default: 1.")
    ] = None,
    tile_spacing: Annotated[
        float | None, typer.Option(metavar="MM", help="Or mm per pixel of the tiles, where the file states its own.")
    ] = None,
    tile_overlap: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of a tile that lies on the next; default: 0.25.")
    ] = None,
) -> None:
    """Predict images: masks, boxes, probabilities.

    All are in the pixels of the image. Of film.dcm it writes, to DIR and nowhere else,

    \b
      film.json                  probabilities, boxes (x1 y1 x2 y2, all above a score of 0.05), the area
                                 and confidence of each mask (the Dice that it expects by its own
                                 probabilities; null if it is empty), the names of the mask files,
                                 modality, spacing in mm, and the model's round, lineage and temperatures
      film.HEAD.CLASS.png        a mask of the image's own size: 255 where the probability exceeds 0.5
      film.HEAD.CLASS.entropy.png
                                 with --uncertainty: how unsure the model is of each pixel, from 0 to 255
                                 where its probability is 0.5; not, whether it has ever seen such an image
      film.overlay.png           to look at; boxes above a score of 0.3

    Only heads that serve the image's modality speak. A second image named film becomes film-2; the same
    image again replaces its own results. An image that cannot be used is one line on stderr; the others go
    on, and the exit status is 2. For research; not for diagnosis.

    The network sees an image as a whole, in its own size. With --tiles, masks and boxes come from tiles of a
    large image, put together without seams; the other heads see it as a whole all the same. It is sound only
    for a model that was trained on images of the tiles' scale (docs/guide.md, "Large images").
    """
    with one_line():
        from mtmed.tiles.tiling import tiling
        from tasks.predict_files import predict_files

        cut = tiling(tiles, tile_overlap, tile_scale, tile_spacing)
        failed = predict_files(model, images, out, modality, store, cut, print, _warn("error: "), uncertainty)
    if failed:
        raise typer.Exit(2)


@app.command()
def export(
    model: Model,
    out: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="Where to write it; what lies there is replaced.")],
    fixed_size: Annotated[
        bool, typer.Option("--fixed-size", help="For images of the network's own size only.")
    ] = False,
    store: Store = None,
) -> None:
    """Write a model as an ONNX file.

    FILE.onnx is all that `mtmed predict` needs. Its input is `images`, any number of square images of one size, a
    multiple of 32 pixels, with a brightness of 0 to 1; what else preparation does to an image is in docs/guide.md. Its
    outputs are named HEAD, or HEAD.boxes and HEAD.scores of a detection head, before overlapping boxes are left out.
    Its metadata hold the architecture, the round and the lineage.

    The file is compared with PyTorch before it is kept: no output may differ by more than 1e-4. It takes about half a
    minute.
    """
    with one_line():
        from tasks.export_model import export_model

        print(export_model(model, out, fixed_size, store))


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
def unpack(
    archives: Annotated[list[Path], typer.Argument(metavar="ARCHIVE", help="zip, tar, tar.gz, tar.bz2, tar.xz or gz.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder; made at the end, when all went well.")],
    max_gb: Annotated[float, typer.Option(metavar="N", min=0, help="Most that may come out, in GB.")] = 500,
    max_files: Annotated[int, typer.Option(metavar="N", min=1, help="Most files and folders.")] = 1_000_000,
    max_ratio: Annotated[
        float, typer.Option(metavar="N", min=1, help="Most that a file may grow, from 256 MiB on.")
    ] = 200,
) -> None:
    """Unpack the archives of a data set.

    Several archives (images_001.tar.gz, images_002.tar.gz, ...) become one folder. Archives come from
    elsewhere: one that is damaged, encrypted or larger than it should be, that holds links or devices, a
    name twice, or a name that leads out of DIR, is refused in one line, and nothing of it is left.
    """
    with one_line():
        from mtmed.data.archive import Limits
        from tasks.unpack_archive import unpack_archive

        limits = Limits(max_gb * 1e9, max_files, max_ratio)
        print(unpack_archive(archives, out, limits, _warn("")))


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
def datasets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of them, with all that is known.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="All of them in full, for the docs.")] = False,
) -> None:
    """List the readers of data sets, or tell all about one.

    They are what `sites.NAME.dataset` in params.yaml may say. With NAME: what it needs on disk, what it gives, how
    patients are grouped, where to get it, licence, citation, known defects. A star: never run on an original.
    """
    from mtmed import datasets as readers

    with one_line():
        lines = [readers.markdown()] if markdown else list(readers.told(name) if name else readers.listed())
    for line in lines:
        print(line)


@app.command()
def prepare(
    dataset: Annotated[str, typer.Option(metavar="NAME", help="A reader; `mtmed datasets` lists them.")],
    raw: Annotated[Path, typer.Option(metavar="DIR", help="Where the data set lies; nothing is written there.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the samples; made if it is not there.")],
    params: Annotated[Path | None, typer.Option(metavar="FILE", help="Heads, image size and split.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of the reader, as YAML; repeatable.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Default: one per processor. 0: no others, for debugging.")
    ] = None,
) -> None:
    """Prepare a data set: checked, de-identified samples of one size.

    What `dvc repro prepare@SITE` does, for a folder. To DIR, and to DIR-private beside it, and nowhere else, it writes

    \b
      samples-*.safetensors      images and masks; index.json lists the files
      quarantine.csv, flags.csv  what was refused, and what is to be looked at
      summary.json, report.html  counts; a page with pictures, which stays with the data
      DIR-private/               the key of the pseudonyms, and names.csv, which leads back from them

    Heads, image size and split come from FILE or ./params.yaml; without either there is a head for each thing that
    the data set says. A killed preparation goes on where it was when the same command is given again.
    """
    with one_line():
        from tasks.prepare_folder import prepare_folder

        prepare_folder(dataset, raw, out, params, dict(map(_option, option or [])), processes)
    print(f"report: {out / 'report.html'}")


@app.command()
def partition(
    dataset: Annotated[str, typer.Option(metavar="NAME", help="A reader; `mtmed datasets` lists them.")],
    raw: Annotated[Path, typer.Option(metavar="DIR", help="Where the data set lies; nothing is written there.")],
    out: Annotated[Path, typer.Option(metavar="FILE.csv", help="Who is where: patient,site. FILE.yaml is its recipe.")],
    sites: Annotated[str, typer.Option(metavar="A,B,...", help="Names. Without: each value of COLUMN is a site.")] = "",
    by: Annotated[str, typer.Option(metavar="RULE", help="One of those above.")] = "even",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Another one deals other patients.")] = 0,
    at_least: Annotated[int, typer.Option(metavar="N", min=1, help="Patients at each site.")] = 10,
    params: Annotated[Path | None, typer.Option(metavar="FILE", help="Whose heads say what a label is.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of the reader, as YAML; repeatable.")
    ] = None,
) -> None:
    """Make several sites out of one data set.

    No patient is ever at two sites. The RULE by which they are dealt:

    \b
      even                 at random, as many everywhere
      natural:COLUMN       by what the data set says of them: hospital, device, view, age (in ranges), ...
      labels:ALPHA         sites differ in their labels: Dirichlet shares of each combination of labels;
                           ALPHA 100: hardly, 1: clearly, 0.1: most sites lack some
      quantity:ALPHA       sites differ in size: Dirichlet shares
      scanner              even, and each site's images are seen through a simulated scanner of its own

    Labels are those of the heads in FILE or ./params.yaml; without either, whatever the data set says. It prints
    how many patients, images and positives each site has, and the lines for params.yaml. FILE.csv, not the seed, is
    what makes a federation repeatable: hand it on, with FILE.yaml. It names patients: of private data it stays private.
    """
    with one_line():
        from tasks.partition_dataset import Wish, partition_dataset

        names = tuple(name.strip() for name in sites.split(",")) if sites else ()
        options = dict(map(_option, option or []))
        for line in partition_dataset(Wish(dataset, raw, names, by, seed, out, at_least, options, params)):
            print(line)


def _option(text: str) -> tuple[str, Any]:
    import yaml

    from mtmed.errors import UserError

    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--option {text}: expected KEY=VALUE")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--option {key}: expected YAML, {' '.join(str(error).split())}") from error


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
