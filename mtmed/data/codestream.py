"""How large a compressed image says that it is, read from its first bytes without decoding it."""

from struct import unpack_from

from openjpeg.utils import get_parameters

from mtmed.data.quality import BadStudy

# start of a frame of any coding (ITU-T T.81 table B.1), and of JPEG-LS (T.87): all that is FFC0 to FFCF but these three
NOT_A_FRAME = (0xC4, 0xC8, 0xCC)
JPEG_LS = 0xF7
HIERARCHICAL = 0xDE  # frames of several sizes, the largest first
ALONE = (0x01, *range(0xD0, 0xDA))  # markers without a length
HEADLESS = "damaged: compressed pixels without the header of an image"
END = b"\xff\xd9"


def jpeg_size(frame: bytes) -> tuple[int, int, int]:
    """Rows, columns and samples per pixel of a JPEG or JPEG-LS stream.

    Read here because the decoder that could be asked for it allocates the whole image first.

    Raises:
        BadStudy: it is none, or it ends before its end marker, where a decoder would fill in grey.
    """
    place = _frame_header(frame)
    rows, columns, samples = unpack_from(">HHB", frame, place + 5)
    # in coded data 0xFF is never followed by 0xD9
    if END not in frame[place:]:
        raise BadStudy("truncated: compressed pixels without their end")
    return rows, columns, samples


def jpeg2000_size(frame: bytes) -> tuple[int, int, int]:
    """Rows, columns and samples per pixel of a JPEG 2000 stream, by its decoder's own reading of the header."""
    try:
        found = get_parameters(bytes(frame))
    except (RuntimeError, ValueError):
        raise BadStudy(HEADLESS) from None
    return int(found["rows"]), int(found["columns"]), int(found["samples_per_pixel"])


def _frame_header(frame: bytes) -> int:
    """Where the marker stands that begins the (first, largest) frame."""
    place = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while place + 10 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker in (JPEG_LS, HIERARCHICAL) or (0xC0 <= marker <= 0xCF and marker not in NOT_A_FRAME):
            return place
        # 0xFF before a marker is padding
        place += 1 if marker == 0xFF else 2 if marker in ALONE else 2 + unpack_from(">H", frame, place + 2)[0]
    raise BadStudy(HEADLESS)
