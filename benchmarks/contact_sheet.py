"""What the phantom hospitals' images look like: a row per modality, lesions outlined in amber, lungs in teal.

    python -m benchmarks.contact_sheet --out docs/phantoms.png

Each column is the next patient of a seed who has that finding in that view; nothing is picked by hand.
"""

import io
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Annotated

import matplotlib
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mtmed.phantoms import Drawing, Exam, diameter, examine
from mtmed.registry import find, names
from mtmed.specs import PhantomSpec

TRUE, LUNGS, WORDS = "#f0a202", "#2ec4b6", "#7d8894"  # the last is read on white and on black
COLUMNS, SHOWN, COLOURS = 6, 256, 96  # images of a modality, their side in pixels, colours of the file
GAP, CAPTION = 0.03, 0.24  # of an image's side


def main(
    out: Annotated[Path, typer.Option(help="the PNG")] = Path("docs/phantoms.png"),
    seed: Annotated[int, typer.Option(help="of the patients")] = 7,
    size: Annotated[int, typer.Option(help="side of the images before they are reduced, in pixels")] = 512,
) -> None:
    """Draw, write, print the file's size."""
    modalities = names("mtmed.phantoms")
    wide, tall = COLUMNS + GAP * (COLUMNS - 1), (1 + CAPTION) * len(modalities)
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 5.2}):
        figure = Figure(figsize=(wide, tall), dpi=SHOWN)
        for row, modality in enumerate(modalities):
            spec = PhantomSpec(modality=modality, patients=5, seed=seed, size=size, noise=0.012, blur=0.5)
            for column, study in enumerate(_varied(spec)):
                left, bottom = column * (1 + GAP) / wide, 1 - (row * (1 + CAPTION) + 1) / tall
                _show(figure.add_axes((left, bottom, 1 / wide, 1 / tall)), *study)
        written = io.BytesIO()
        figure.savefig(written, transparent=True)
    _squeezed(written).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size / 1024:.0f} KB")


def _varied(spec: PhantomSpec) -> Iterator[tuple[Exam, Drawing]]:
    """Findings and views in turn, each from the next patient who has it."""
    modality = find("mtmed.phantoms", spec.modality, "phantom").PHANTOM
    findings, views = ["normal", *modality.findings], modality.views
    first = (next(examine(spec, patient)) for patient in count())
    for n in range(COLUMNS):
        wanted = findings[n % len(findings)], views[(n + n // len(findings)) % len(views)]
        yield next((exam, drawing) for exam, drawing in first if (exam.finding, exam.view) == wanted)


def _show(axis: Axes, exam: Exam, drawing: Drawing) -> None:
    axis.set_axis_off()
    axis.imshow(drawing.image, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    outlines = [(mask, LUNGS) for name, mask in drawing.masks.items() if name == "lung"]
    for mask, colour in outlines + [(lesion.mask, TRUE) for lesion in drawing.lesions]:
        axis.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=0.4)
    axis.text(0.5, -0.03, _caption(exam, drawing), transform=axis.transAxes, color=WORDS, ha="center", va="top")


def _caption(exam: Exam, drawing: Drawing) -> str:
    longest = diameter(drawing.lesions, drawing.side_mm / len(drawing.image))
    known = [exam.view, *(f"{name} {word}" for name, word in exam.attributes.items())]
    return ", ".join(known) + f"\n{exam.finding}" + (f", {float(longest):.0f} mm" if longest else "")


def _squeezed(png: io.BytesIO) -> Image.Image:
    """Fewer colours, for speckle compresses badly."""
    return Image.open(png).quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


if __name__ == "__main__":
    typer.run(main)
