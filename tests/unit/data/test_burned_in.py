"""Text in the pixels: what is found, what is not taken for text, and at what cost."""

from time import perf_counter

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from mtmed.data import burned_in, pixels


def ground(seed=0, height=1000, width=800, noise=0.02):
    """Soft shapes on a slope, with noise."""
    rng = np.random.default_rng(seed)
    soft = ndimage.zoom(rng.normal(0, 0.1, (6, 6)), (height / 6, width / 6), order=1)[:height, :width]
    image = 0.3 + 0.2 * np.linspace(0, 1, width) + soft + rng.normal(0, noise, (height, width))
    return np.clip(image, 0, 1).astype(np.float32)


def burn(image, text, at=(300, 100), height=0.02, grey=1.0):
    """`text` at (row, column), with capitals of `height` of the image's."""
    font = ImageFont.load_default(size=round(1.4 * height * len(image)))
    drawn = Image.new("L", image.shape[::-1])
    ImageDraw.Draw(drawn).text(at[::-1], text, fill=255, font=font)
    ink = np.asarray(drawn, np.float32) / 255
    return (image * (1 - ink) + grey * ink).astype(np.float32)


# small letters are lower than capitals
TEXTS = [(text, height) for text in ("SMITH JOHN", "12.03.1957", "PID 7712003") for height in (0.012, 0.02, 0.03)]


@pytest.mark.parametrize(("text", "height"), [*TEXTS, ("Doe, Jane", 0.018), ("Doe, Jane", 0.03)])
@pytest.mark.parametrize("side", [700, 1000, 2000, 3000])
def test_names_and_dates_are_found(text, height, side):
    image = ground(height=side, width=side)
    at = (side // 3, side // 5)
    line = next(burned_in.lines(burn(image, text, at, height)), None)
    assert line is not None
    top, left, bottom, right = line.box
    # within the text, whole words of it
    assert at[0] <= top < bottom <= at[0] + 2 * height * side
    assert at[1] <= left < right <= at[1] + 1.2 * len(text) * height * side
    assert 4 <= line.letters <= 2 * len(text)


@pytest.mark.parametrize("grey", [0.0, 1.0])
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_dark_text_and_text_of_any_quarter_turn(grey, turn):
    assert burned_in.flag(None, np.rot90(burn(ground(), "MUELLER ANNA", grey=grey), turn))


def test_dark_letters_on_a_bright_plate():
    image = ground()
    image[280:360, 80:400] = 0.9
    assert burned_in.flag(None, burn(image, "SMITH JOHN", grey=0.1))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
def test_ground_alone_is_no_text(seed, noise):
    assert burned_in.flag(None, ground(seed, noise=noise)) == ""


@pytest.mark.parametrize("marker", ["L", "R", "AP"])
def test_side_marker_is_no_text(marker):
    assert burned_in.flag(None, burn(ground(), marker, height=0.04)) == ""


def test_shapes_that_are_no_line():
    """Calcifications, wires, ribs, a rule, the edge of a film."""
    rng = np.random.default_rng(0)
    dots, wires, ribs, edge = (ground(seed) for seed in range(4))
    for y, x in rng.integers(50, 750, (60, 2)):
        dots[y : y + rng.integers(4, 14), x : x + rng.integers(4, 14)] += rng.uniform(0.2, 0.5)
    rows, columns = np.mgrid[:1000, :800]
    for k in range(5):
        wires[np.abs(rows - 200 * k - 80 * np.sin(columns / 60 + k)) < 3] = 0.9
        ribs += 0.15 * np.exp(-(((rows - 150 * k - 0.1 * columns) / 25) ** 2)).astype(np.float32)
    edge[:, :90] = edge[900:] = 0
    edge[::20, 100:103] = 1
    for image in (dots, wires, ribs, edge):
        assert burned_in.flag(None, np.clip(image, 0, 1)) == ""


def test_reason_says_where_and_not_what():
    reason = burned_in.flag("NO", burn(ground(), "SMITH JOHN", at=(300, 100)))
    assert reason.startswith("text in the picture: about ")
    assert reason.endswith(" of 1000 x 800")
    assert "\n" not in reason


def test_header_that_says_so_needs_no_pixels():
    assert burned_in.flag("YES", np.zeros((20, 20), np.float32)) == "its DICOM header says that text is burned in"
    for stated in ("NO", "", None, "PERHAPS"):
        assert burned_in.flag(stated, np.zeros((20, 20), np.float32)) == ""


@pytest.mark.parametrize("shape", [(16, 16), (16, 3000), (3000, 17), (701, 16)])
def test_images_of_any_shape(shape):
    assert burned_in.flag(None, np.random.default_rng(0).random(shape, np.float32)) == ""


def test_cost_is_small_beside_decoding():
    """Some 10 ms on an idle core; here it may not be idle."""
    image = ground(height=2000, width=2000)
    burned_in.flag(None, image)
    times = []
    for _ in range(5):
        start = perf_counter()
        burned_in.flag(None, image)
        times.append(perf_counter() - start)
    assert min(times) < 0.05


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cxr_nih14/images/00000150_002.png", True),
        ("cxr_nih14/images/00001933_000.png", False),
        ("cxr_hannover_ccby3/a4318ac9.jpg", True),
        ("cxr_hannover_ccby3/53c9be49.jpg", False),
        ("mammo_mias/mdb005.jpg", False),
        ("dicom/RG1_J2KI.dcm", False),
    ],
)
def test_real_films(real, name, found):
    """PORTABLE and Bettaufnahme in two; by looking at them, no line in the others."""
    assert bool(pixels.read(real / "originals" / name).burned_in) == found
