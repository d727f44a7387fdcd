"""Commands of `mtmed` for data before the chain: unpack, datasets, prepare, partition."""

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.mistakes import one_line, warn


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
        print(unpack_archive(archives, out, limits, warn("")))


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
