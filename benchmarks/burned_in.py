"""How much burned-in text is found, at what cost, and how many films are flagged.

    python -m benchmarks.burned_in [--data <folder of images>] [--sheet flagged.png]

Prints the share found of names and dates burned into drawn backgrounds, by height of the letters and contrast, and
how many are flagged without. With --data, the share flagged of each folder of films, the same recall on those films
that hold no line, and a sheet of what was flagged, which a person must judge: films do hold text.
"""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from mtmed.data import burned_in, pixels
from mtmed.errors import UserError
from mtmed.types import Array

TEXTS = (
    "SMITH JOHN",
    "Doe, Jane",
    "MUELLER ANNA",
    "GARCIA*MARIA",
    "12.03.1957",
    "1962-05-18",
    "DOB 04/11/71",
    "PID 7712003",
)
HEIGHTS = ((0.012, 0.018), (0.018, 0.024), (0.024, 0.03))  # of capitals, as shares of the image's height
CONTRASTS = ((0.1, 0.2), (0.2, 0.4), (0.4, 1.0))
SUFFIXES = {".png", ".jpg", ".jpeg", ".pgm", ".dcm"}


def main(
    data: Annotated[Path | None, typer.Option()] = None,
    sheet: Annotated[Path | None, typer.Option()] = None,
    side: int = 2000,
    images: int = 40,
    smallest: int = 700,
) -> None:
    """Print the tables; films with fewer than `smallest` rows take no text that could be read."""
    rng = np.random.default_rng(0)
    grounds = [background(rng, side, int(side * rng.uniform(0.7, 1))) for _ in range(images)]
    print(f"backgrounds drawn, {side} pixels high:")
    _recall(grounds, rng)
    if data is None:
        return
    films = _films(data)
    flagged = {path: image for path, image in films.items() if burned_in.flag(None, image)}
    _shares(data, films, flagged)
    clean = [image for path, image in films.items() if path not in flagged and len(image) >= smallest]
    if clean:
        print(f"{len(clean)} films of at least {smallest} rows that hold no line, each more than once:")
        _recall([clean[i % len(clean)] for i in range(images)], rng)
    if sheet:
        _sheet(list(flagged.values())).save(sheet)


def background(rng: np.random.Generator, height: int, width: int) -> Array:
    """An image [height,width] of soft shapes, a slope, noise, and often air at one side."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    slope = np.clip(rng.uniform(0, 1) * x + rng.uniform(0, 1) * y - rng.uniform(0, 0.2), 0, 1)
    coarse = rng.normal(0, 0.12, (9, 9))
    soft = ndimage.map_coordinates(coarse, [y / y.max() * 8, x / x.max() * 8], order=1)
    image = 0.15 + 0.5 * slope + soft
    if rng.random() < 0.4:
        image[:, : int(width * rng.uniform(0.05, 0.3))] = rng.uniform(0, 0.08)
    return np.clip(image + rng.normal(0, rng.uniform(0, 0.03), image.shape), 0, 1).astype(np.float32)


def burn(rng: np.random.Generator, image: Array, height: float, contrast: float) -> Array:
    """A copy of an image [H,W] with a name or a date at a random place, brighter or darker than what is under it.

    Args:
        height: of capital letters, as a share of H; pillow's own font is 1.4 times as high.
    """
    font = ImageFont.load_default(size=max(1, round(1.4 * height * len(image))))
    text = str(rng.choice(TEXTS))
    _, _, right, bottom = (int(v) for v in font.getbbox(text))
    y, x = (int(rng.integers(0, max(1, free))) for free in (image.shape[0] - bottom, image.shape[1] - right))
    drawn = Image.new("L", image.shape[::-1])
    ImageDraw.Draw(drawn).text((x, y), text, fill=255, font=font)
    ink = np.asarray(drawn, np.float32) / 255
    under = float(np.median(image[y : y + bottom, x : x + right]))
    bright = under + contrast <= 1 and (under < contrast or rng.random() < 0.7)
    grey = np.clip(under + contrast if bright else under - contrast, 0, 1)
    return (image * (1 - ink) + grey * ink).astype(np.float32)


def _recall(grounds: list[Array], rng: np.random.Generator) -> None:
    rows = []
    for low, high in HEIGHTS:
        row: dict[str, object] = {"capitals, % of height": f"{100 * low:.1f} - {100 * high:.1f}"}
        for faint, strong in CONTRASTS:
            burned = [burn(rng, g, rng.uniform(low, high), rng.uniform(faint, strong)) for g in grounds]
            row[f"contrast {faint} - {strong}"] = np.mean([bool(burned_in.flag(None, image)) for image in burned])
        rows.append(row)
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".2f"))
    times, wrong = zip(*(_timed(g) for g in grounds), strict=True)
    print(f"without text: {sum(wrong)} of {len(grounds)} flagged; {np.median(times):.1f} ms each (median)\n")


def _timed(image: Array) -> tuple[float, bool]:
    start = perf_counter()
    found = bool(burned_in.flag(None, image))
    return 1e3 * (perf_counter() - start), found


def _films(data: Path) -> dict[Path, Array]:
    """The readable images under a folder, without masks."""
    films = {}
    for path in sorted(p for p in data.rglob("*") if p.suffix.lower() in SUFFIXES and "mask" not in str(p.parent)):
        try:
            films[path] = pixels.read(path).image
        except UserError:
            continue
    return films


def _shares(data: Path, films: dict[Path, Array], flagged: dict[Path, Array]) -> None:
    folders = sorted({path.parent for path in films})
    rows = [
        {
            "folder": str(folder.relative_to(data)),
            "films": sum(path.parent == folder for path in films),
            "flagged": sum(path.parent == folder for path in flagged),
        }
        for folder in folders
    ]
    print(pd.DataFrame(rows).to_markdown(index=False), "\n")


def _sheet(images: list[Array], across: int = 8, width: int = 210, height: int = 110) -> Image.Image:
    """The first line of each image, side by side."""
    sheet = Image.new("L", (width * across, height * -(-len(images) // across)))
    for i, image in enumerate(images):
        top, left, bottom, right = next(burned_in.lines(image)).box
        margin = (bottom - top) // 2
        part = image[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
        tile = Image.fromarray((255 * part).astype(np.uint8))
        scale = min((width - 10) / tile.width, (height - 10) / tile.height)
        tile = tile.resize((max(1, int(scale * tile.width)), max(1, int(scale * tile.height))))
        sheet.paste(tile, (i % across * width, i // across * height))
    return sheet


if __name__ == "__main__":
    typer.run(main)
