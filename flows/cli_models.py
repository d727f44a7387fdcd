"""Commands of `mtmed` for a model that exists: predict, export, evaluate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.mistakes import one_line, warn

MODEL = "A .safetensors file, models:/NAME@champion or models:/NAME/3."
ENGINE = f"{MODEL[:-1]}, or a .onnx file."
STORE = "MLflow store of a models:/ address; default: tracking.uri of ./params.yaml."

Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)]
Store = Annotated[str | None, typer.Option(metavar="URI", help=STORE)]


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=ENGINE)],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="DICOM, PNG, JPEG, PGM or TIFF.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results; made if it is not there.")],
    modality: Annotated[
        str | None,
        typer.Option(metavar="M", help="mammography, chest_xray or ultrasound, where neither file nor model says."),
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
    """Predict images: masks, boxes, probabilities, measurements.

    All are in the pixels of the image. Of film.dcm it writes, to DIR and nowhere else,

    \b
      film.json                  probabilities, measurements, boxes (x1 y1 x2 y2, all above a score of 0.05), the area
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
        failed = predict_files(model, images, out, modality, store, cut, print, warn("error: "), uncertainty)
    if failed:
        raise typer.Exit(2)


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

        result = evaluate_manifest(model, manifest, json, mapping, store, warn(""))
    for line in _table(result):
        print(line)


def _table(result: dict[str, Any]) -> Iterator[str]:
    heads = {name: values for name, values in result.items() if isinstance(values, dict)}
    width = max(len(name) for name in heads)
    for head, values in heads.items():
        counts = f"{values['images']} images of {values['patients']} patients"
        metrics = ", ".join(f"{k} {v:.3f}" for k, v in values.items() if k not in ("images", "patients"))
        yield f"{head:<{width}}  {counts}: {metrics or 'no metric is defined'}"
    yield f"{'quarantined':<{width}}  {result['quarantined']}"
