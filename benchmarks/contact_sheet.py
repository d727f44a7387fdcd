"""What the phantom hospitals' images look like: a row per modality, lesions outlined in amber, lungs in teal.

    python -m benchmarks.contact_sheet --out docs/phantoms.png

Patients are the first ones of a seed that have what a column shows; nothing is retouched.
"""

import io
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mtmed.config import PhantomSpec
from mtmed.phantoms import Drawing, Exam, diameter, examine
from mtmed.registry import find, names

TRUE, LUNGS, WORDS = "#f0a202", "#2ec4b6", "#7d8894"  # the last is read on white and on black
COLUMNS, DRAWN, SHOWN = 6, 448, 224  # images of a modality, and their side in pixels


def main(
    out: Annotated[Path, typer.Option(help="the PNG")] = Path("docs/phantoms.png"),
    seed: Annotated[int, typer.Option(help="of the patients")] = 7,
    size: Annotated[int, typer.Option(help="side of the drawn images, in pixels")] = DRAWN,
) -> None:
    """Draw, write, print the size."""
    modalities = names("mtmed.phantoms")
    caption = 0.22
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 7.5}):
        figure = Figure(figsize=(COLUMNS, (1 + caption) * len(modalities)), dpi=SHOWN)
        axes = figure.subplots(len(modalities), COLUMNS, gridspec_kw={"wspace": 0.03, "hspace": caption})
        figure.subplots_adjust(0, caption / (1 + caption) / len(modalities), 1, 1)
        for row, modality in zip(np.atleast_2d(axes), modalities, strict=True):
            spec = PhantomSpec(modality=modality, patients=5, seed=seed, size=size, noise=0.015, blur=0.5)
            for axis, (exam, drawing) in zip(row, _varied(spec), strict=True):
                _show(axis, exam, drawing)
        written = io.BytesIO()
        figure.savefig(written, transparent=True)
    _squeezed(written).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size / 1024:.0f} KB")


def _varied(spec: PhantomSpec) -> Iterator[tuple[Exam, Drawing]]:
    """Findings and views in turn, each from the next patient who has it."""
    modality = find("mtmed.phantoms", spec.modality, "phantom").PHANTOM
    findings, views = ["normal", *modality.findings], modality.views
    patients = count()
    for n in range(COLUMNS):
        wanted = findings[n % len(findings)], views[(n + n // len(findings)) % len(views)]
        yield next(
            (exam, drawing)
            for patient in patients
            for exam, drawing in islice(examine(spec, patient), 1)
            if (exam.finding, exam.view) == wanted
        )


def _show(axis: Axes, exam: Exam, drawing: Drawing) -> None:
    axis.set_axis_off()
    axis.imshow(drawing.image, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    outlines = [(mask, LUNGS) for name, mask in drawing.masks.items() if name == "lung"]
    for mask, colour in outlines + [(lesion.mask, TRUE) for lesion in drawing.lesions]:
        axis.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=0.5)
    axis.text(0.5, -0.03, _caption(exam, drawing), transform=axis.transAxes, color=WORDS, ha="center", va="top")


def _caption(exam: Exam, drawing: Drawing) -> str:
    longest = diameter(drawing.lesions, drawing.side_mm / len(drawing.image))
    known = [exam.view, *(f"{name} {word}" for name, word in exam.attributes.items())]
    return ", ".join(known) + f"\n{exam.finding}" + (f", {float(longest):.0f} mm" if longest else "")


def _squeezed(png: io.BytesIO) -> Image.Image:
    """Fewer colours: speckle compresses badly, and nobody tells 256 greys apart."""
    return Image.open(png).quantize(48, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


if __name__ == "__main__":
    typer.run(main)
