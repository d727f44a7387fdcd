"""Files of every kind under every name: read by what they are, or refused with a reason that names nobody."""

import logging
import traceback

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mtmed.data import pixels
from mtmed.data.quality import BadStudy
from tests.dicom import RAMP, write_dicom


def read(path):
    return pixels.read(path).image


def test_dicom_under_another_name(tmp_path):
    for name in ("a.img", "b.png", "c", "smith.john"):
        write_dicom(tmp_path / name)
        assert pixels.read(tmp_path / name).modality == "CR"


def test_picture_under_the_name_of_dicom(tmp_path):
    for name in ("a.dcm", "b", "c.dicom"):
        Image.fromarray((RAMP // 16).astype(np.uint8)).save(tmp_path / name, "PNG")
        np.testing.assert_allclose(read(tmp_path / name), RAMP // 16 / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.dcm", b"<html>403</html>", "not DICOM: expected 'DICM' after 128 bytes, got a web page or XML"),
        ("a.dcm", b"PK\x03\x04 and more", "got a ZIP archive"),
        ("a.png", b"%PDF-1.7", "unreadable .png: expected DICOM, PNG, JPEG, PGM or TIFF, got a PDF"),
        ("a.dcm", b"version https://git-lfs.github.com/spec/v1", "got a Git LFS pointer: the file itself"),
        ("a.png", b"Jane Doe, born 1962", "unreadable .png: expected DICOM, PNG, JPEG, PGM or TIFF, got something"),
        ("a.jane doe", b"Jane Doe, born 1962", "unreadable file: expected"),
        ("a.dcm", b"", "empty file: expected an image, got 0 bytes"),
        ("a.dcm", b"\x08\x00 Jane Doe", "without Rows and Columns"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "unreadable file: expected"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_named_by_its_kind(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadStudy) as caught:
        pixels.read(tmp_path / name)
    assert reason in str(caught.value)
    assert "jane" not in str(caught.value).lower()


def test_missing_file_is_not_named(tmp_path):
    for path in (tmp_path / "DOE^JANE.dcm", tmp_path):
        with pytest.raises(BadStudy, match=r"^no such file$"):
            pixels.read(path)
        with pytest.raises(BadStudy, match=r"^no such file$"):
            pixels.read_mask(path)


def test_no_word_of_a_library_and_no_name_of_a_file(tmp_path, monkeypatch, caplog):
    """What pillow or pydicom would say, and how a log would print what caused it."""
    caplog.set_level(logging.DEBUG)
    path = write_dicom(tmp_path / "DOE^JANE.dcm")

    def broken(*_):
        logging.getLogger("pydicom").warning("DOE^JANE")
        raise ValueError("Invalid value: 'DOE^JANE'")

    monkeypatch.setattr(pixels.pixels_dicom, "read", broken)
    with pytest.raises(BadStudy) as caught:
        pixels.read(path)
    assert str(caught.value) == "unreadable .dcm: damaged, cut short, or not what its header says (ValueError)"
    assert "JANE" not in "".join(traceback.format_exception(caught.value)).replace(str(tmp_path), "")
    assert "JANE" not in caplog.text


def test_disk_that_fails_is_not_called_a_damaged_file(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm")

    def denied(_):
        raise PermissionError(13, "Permission denied", "/archive/DOE^JANE.dcm")

    monkeypatch.setattr(pixels.pixels_dicom, "read", denied)
    with pytest.raises(BadStudy, match=r"^unreadable \.dcm: the disk or its permissions say no \(PermissionError\)$"):
        pixels.read(path)


@pytest.mark.parametrize("suffix", ["png", "pgm", "tiff"])
def test_sixteen_bits_are_not_divided_by_255(tmp_path, suffix):
    Image.fromarray(RAMP).save(tmp_path / f"a.{suffix}")
    image = read(tmp_path / f"a.{suffix}")
    assert image.max() > 0.9
    np.testing.assert_allclose(image, RAMP / 4095, atol=1e-3)


def test_eight_bits_and_colour_become_grey(tmp_path):
    grey = (RAMP // 16).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(np.stack([grey] * 3, axis=2)).save(tmp_path / "b.png")
    np.testing.assert_allclose(read(tmp_path / "a.png"), grey / 255, atol=1e-6)
    np.testing.assert_allclose(read(tmp_path / "b.png"), grey / 255, atol=0.005)


def test_values_below_zero_are_stretched_as_floats_are(tmp_path):
    signed = RAMP.astype(np.int32) - 2000
    Image.fromarray(signed).save(tmp_path / "a.tiff")
    Image.fromarray(signed.astype(np.float32)).save(tmp_path / "b.tiff")
    image = read(tmp_path / "a.tiff")
    assert (image.min(), image.max()) == (0, 1)
    np.testing.assert_array_equal(image, read(tmp_path / "b.tiff"))


def test_values_that_are_no_numbers(tmp_path):
    values = RAMP.astype(np.float32)
    values[3, 3] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tiff")
    with pytest.raises(BadStudy, match="not finite numbers"):
        pixels.read(tmp_path / "a.tiff")


def test_several_pages(tmp_path):
    page = Image.fromarray((RAMP // 16).astype(np.uint8))
    page.save(tmp_path / "a.tiff", save_all=True, append_images=[page])
    with pytest.raises(BadStudy, match="series of frames: expected one image, got 2 frames"):
        pixels.read(tmp_path / "a.tiff")


def test_mask_values_are_as_stored(tmp_path):
    stored = np.zeros((20, 20), np.uint8)
    stored[3, 4], stored[5, 6] = 1, 2
    Image.fromarray(stored).save(tmp_path / "m.png")
    write_dicom(tmp_path / "m.dcm", stored, WindowCenter=1000, WindowWidth=3)
    for name in ("m.png", "m.dcm"):
        np.testing.assert_array_equal(pixels.read_mask(tmp_path / name), stored)


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA"])
def test_a_mask_is_black_and_white_whatever_holds_it(tmp_path, mode):
    drawn = np.zeros((20, 20), np.uint8)
    drawn[3:6, 4:9] = 255
    image = Image.fromarray(drawn)
    # an adaptive palette may give white the index 0
    held = image.quantize(2) if mode == "P" else image.convert(mode)
    held.save(tmp_path / "m.png")
    np.testing.assert_array_equal(pixels.read_mask(tmp_path / "m.png") > 0, drawn > 0)


def test_a_palette_of_colours_holds_labels(tmp_path):
    stored = np.zeros((20, 20), np.uint8)
    stored[3, 4], stored[5, 6] = 1, 2
    image = Image.fromarray(stored, "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(pixels.read_mask(tmp_path / "m.png"), stored)


def test_a_mask_in_colours_has_no_labels(tmp_path):
    stored = np.zeros((20, 20, 3), np.uint8)
    stored[3, 4, 2] = 1
    Image.fromarray(stored).save(tmp_path / "m.png")
    with pytest.raises(BadStudy, match="mask in colours: expected one value per pixel"):
        pixels.read_mask(tmp_path / "m.png")


@pytest.mark.parametrize("kind", ["P5", "P2"])
def test_a_mask_of_few_levels_keeps_them_or_is_refused(tmp_path, kind):
    body = bytes([2] * 400) if kind == "P5" else b" ".join([b"2"] * 400)
    for levels in (3, 255):
        (tmp_path / f"{levels}.pgm").write_bytes(f"{kind} 20 20 {levels}\n".encode() + body)
    assert (pixels.read_mask(tmp_path / "255.pgm") == 2).all()
    with pytest.raises(BadStudy, match="mask of scaled values: expected a PGM of 255 levels"):
        pixels.read_mask(tmp_path / "3.pgm")


def test_a_jpeg_mask_keeps_its_area_or_is_refused(tmp_path):
    y, x = np.mgrid[:80, :80]
    disc = np.hypot(y - 40, x - 40) < 20
    Image.fromarray(disc.astype(np.uint8) * 255).save(tmp_path / "m.jpg", quality=60)
    read = pixels.read_mask(tmp_path / "m.jpg")
    assert set(np.unique(read)) == {0, 255}
    assert (read > 0).sum() == pytest.approx(disc.sum(), rel=0.02)
    Image.fromarray(np.full((80, 80), 128, np.uint8)).save(tmp_path / "grey.jpg")
    with pytest.raises(BadStudy, match="mask of blurred values"):
        pixels.read_mask(tmp_path / "grey.jpg")


def test_decompression_bomb_is_refused_by_its_header(tmp_path):
    Image.new("1", (12000, 12000)).save(tmp_path / "bomb.png")
    for read_as in (pixels.read, pixels.read_mask):
        with pytest.raises(BadStudy, match="image too large: expected at most 100 megapixels, got 12000 x 12000"):
            read_as(tmp_path / "bomb.png")


def test_truncated_png(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(BadStudy, match=r"unreadable \.png: damaged, cut short"):
        pixels.read(tmp_path / "a.png")


def test_text_in_the_pixels_is_flagged_in_every_format(tmp_path):
    page = Image.new("L", (300, 200), 20)
    ImageDraw.Draw(page).text((90, 80), "SMITH JOHN", fill=200, font=ImageFont.load_default(size=14))
    page.save(tmp_path / "a.png")
    write_dicom(tmp_path / "b.dcm", np.asarray(page), WindowCenter=128, WindowWidth=256)
    for name in ("a.png", "b.dcm"):
        assert pixels.read(tmp_path / name).burned_in.startswith("text in the picture: about ")
    assert pixels.read(write_dicom(tmp_path / "c.dcm", BurnedInAnnotation="YES")).burned_in.startswith("its DICOM")
    assert pixels.read(write_dicom(tmp_path / "d.dcm", BurnedInAnnotation="NO")).burned_in == ""
