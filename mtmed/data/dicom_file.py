"""DICOM files in bounded memory: the header first and without the patient, then the pixels that it announces.

What is compressed may become larger than anything that it claims to be: a deflated data set is inflated up to a limit,
and compressed pixels are decoded only if their own header gives the size that the file's does.
"""

import zlib
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset
from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    UID_dictionary,
)

from mtmed.data import codestream
from mtmed.data.deidentify import KEPT_TAGS, deidentify
from mtmed.data.quality import BadStudy
from mtmed.types import Array

PREAMBLE = 128  # bytes before "DICM" (PS3.10 7.1)
ROWS, PIXEL_DATA = 0x00280010, 0x7FE00010
HEADER = 16 * 2**20  # bytes; tables of brightness and private elements make some headers large
LARGEST_FILE = 2**30  # bytes; 100 megapixels of colour are 300 million
JPEG2000S = (*JPEG2000TransferSyntaxes, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)
PLUGIN = "pylibjpeg"  # one decoder at every site, and no second try by one that does not stop where it should
HALF_SAMPLED = ("YBR_FULL_422", "YBR_PARTIAL_422")  # two pixels share their colours


def header(path: Path) -> Dataset:
    """The elements before the pixels that `deidentify.KEPT` lists, clean; nothing else of the file is looked at.

    Raises:
        BadStudy: larger than one image can be, or encoded in a way that the standard does not know.
    """
    if path.stat().st_size > LARGEST_FILE:
        raise BadStudy(f"file too large: expected one image of at most {LARGEST_FILE // 2**20} MiB")
    found = _parse(path, [tag for tag in KEPT_TAGS if tag != PIXEL_DATA], HEADER)
    syntax = found.file_meta.get("TransferSyntaxUID")
    if syntax is not None and str(syntax) not in UID_dictionary:
        raise BadStudy("unknown transfer syntax: expected one that DICOM defines")
    encoding = found.original_encoding
    deidentify(found)
    if syntax is None:
        found.file_meta.TransferSyntaxUID = _guessed(*encoding)
    return found


def stored(path: Path, header: Dataset) -> Array:
    """Pixels as decoded, [H,W] or [H,W,3] of integers; YBR as RGB.

    Raises:
        BadStudy: there are fewer or more than the header says, or they cannot be decoded.
    """
    found = _parse(path, [PIXEL_DATA], HEADER + expected_bytes(header))
    if PIXEL_DATA not in found:
        raise BadStudy("truncated: the file ends before its pixels do")
    element = found[PIXEL_DATA]
    header[PIXEL_DATA] = DataElement(PIXEL_DATA, element.VR, element.value)
    syntax = header.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        _check_encapsulated(header, syntax)
    else:
        _check_length(header)
    return _decode(header, syntax)


def expected_bytes(header: Dataset) -> int:
    """Bytes of the pixels when they are not compressed (PS3.5 8.1.1, PS3.3 C.7.6.3.1.2)."""
    samples = 2 if header.PhotometricInterpretation in HALF_SAMPLED else int(header.SamplesPerPixel)
    bits = int(header.Rows) * int(header.Columns) * samples * int(header.BitsAllocated)
    return (bits + 7) // 8


def _parse(path: Path, tags: Iterable[int], limit: int) -> Dataset:
    """A file's own header and these elements up to and with the pixels; what is deflated up to `limit` bytes."""
    only = list(tags)
    with path.open("rb") as file:
        meta = _meta(file)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return _inflated(file, meta, only, limit)
    # files from before PS3.10 have no "DICM": `force` reads them, and the caller has looked at their first element
    return pydicom.dcmread(path, force=True, specific_tags=only, stop_before_pixels=PIXEL_DATA not in only)


def _meta(file: BinaryIO) -> Dataset:
    """The file's own header (group 0002), with `file` left at its end; empty where there is none."""
    file.seek(PREAMBLE)
    if file.read(4) != b"DICM":
        return Dataset()
    return read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)


def _inflated(file: BinaryIO, meta: Dataset, only: list[int], limit: int) -> Dataset:
    """A deflated data set (PS3.5 A.5); as one that never was, of which no more than `limit` bytes are inflated."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(file.read(LARGEST_FILE), limit)
    if PIXEL_DATA in only and not inflater.eof:
        raise BadStudy("truncated, or deflated from far more data than its header says")
    stop = _before_pixels if PIXEL_DATA not in only else None
    found = read_dataset(BytesIO(plain), False, True, stop_when=stop, specific_tags=only)
    if ROWS in only and ROWS not in found and not inflater.eof:
        raise BadStudy(f"deflated from far more data than a header has: expected at most {limit // 2**20} MiB")
    found.file_meta = FileMetaDataset(meta)
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.set_original_encoding(False, True)
    return found


def _before_pixels(tag: int, _vr: str | None, _length: int) -> bool:
    return tag >= PIXEL_DATA


def _guessed(implicit: bool | None, little: bool | None) -> UID:
    """The transfer syntax of a file that does not name it, as the parser found it to be."""
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _check_length(header: Dataset) -> None:
    """Refuse uncompressed pixels that are fewer than one image's, or those of two."""
    expected, got = expected_bytes(header), len(header.PixelData)
    if got < expected:
        raise BadStudy(f"truncated: expected {expected} bytes of pixels, got {got}")
    if got >= 2 * expected:
        raise BadStudy(f"series of frames: expected {expected} bytes of pixels for one image, got {got}")


def _check_encapsulated(header: Dataset, syntax: UID) -> None:
    """Refuse compressed pixels of another size than the header's, and those that end too early."""
    frame = get_frame(header.PixelData, 0, number_of_frames=1)
    size = _size_of(syntax)
    if size is None:
        return
    expected = (int(header.Rows), int(header.Columns), int(header.SamplesPerPixel))
    got = size(frame)
    if got != expected:
        rows, columns, samples = got
        raise BadStudy(
            f"compressed image of another size: expected {expected[0]} x {expected[1]} with {expected[2]} samples "
            f"as the header says, got {rows} x {columns} with {samples}"
        )


def _size_of(syntax: UID) -> Callable[[bytes], tuple[int, int, int]] | None:
    if syntax in JPEG2000S:
        return codestream.jpeg2000_size
    if syntax in JPEGTransferSyntaxes or syntax in JPEGLSTransferSyntaxes:
        return codestream.jpeg_size
    return None  # run lengths are decoded up to the size that they should have, and others not at all


def _decode(header: Dataset, syntax: UID) -> Array:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        decoder = None
    if decoder is None or not decoder.is_available:
        raise BadStudy(f"compressed as {syntax.name}: no decoder for it is installed")
    try:
        pixels, _ = decoder.as_array(header, decoding_plugin=PLUGIN if PLUGIN in decoder.available_plugins else "")
    except MemoryError:
        raise
    except Exception as error:  # whatever a codec raises; its text may quote the header
        # not chained: a log would print what the cause says
        raise BadStudy(f"unreadable pixels, stored as {syntax.name} ({type(error).__name__})") from None
    return pixels
