"""Archives as they come, and archives as an attacker makes them: all of it or nothing, and nothing outside."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from mtmed.data import archive as unpacking
from mtmed.data.archive import Limits, unpack
from mtmed.errors import UserError

FILES = {"set/labels.csv": b"id,label\n1,0\n", "set/images/1.dcm": bytes(range(256)) * 9000, "set/empty.txt": b""}
PACKERS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def zipped(path, entries=FILES, **options):
    """A zip; an entry is {name or ZipInfo: bytes}."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return path


def tarred(path, *members, packer=bytes):
    """A tar of (TarInfo, bytes or None)."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as file:
        for info, data in members:
            file.addfile(info, None if data is None else io.BytesIO(data))
    path.write_bytes(packer(plain.getvalue()))
    return path


def member(name, data=b"x", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, b"", type=kind, linkname=target)[0], None


def found(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def refused(tmp_path):
    """`refused(archive, text, ...)`: one line that matches, and nothing beside the archives is left or touched."""

    def check(archive, text, *more, **limits):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UserError, match=text) as caught:
            unpack([archive, *more], tmp_path / "out", Limits(**limits), lambda _: None)
        assert "\n" not in str(caught.value)
        assert sorted(tmp_path.rglob("*")) == before

    return check


@pytest.mark.parametrize("packing", PACKERS)
def test_a_tar_of_any_packing_whatever_it_is_called(tmp_path, packing):
    members = [member(name, data) for name, data in FILES.items()]
    folder = member("./set", b"", type=tarfile.DIRTYPE)[0], None
    path = tarred(tmp_path / "download", folder, *members, packer=PACKERS[packing])
    assert unpack([path], tmp_path / "deep/out") == (3, sum(map(len, FILES.values())))
    assert found(tmp_path / "deep/out") == FILES
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_zip_and_files_have_the_usual_rights(tmp_path):
    odd = zipfile.ZipInfo("run.sh")
    odd.external_attr = (stat.S_IFREG | stat.S_ISUID | 0o777) << 16
    path = zipped(tmp_path / "set.zip", {**FILES, "void/": b"", odd: b"#!"})
    unpack([path], tmp_path / "out")
    assert found(tmp_path / "out") == {**FILES, "run.sh": b"#!"}
    assert (tmp_path / "out/void").is_dir()
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert not (tmp_path / "out/run.sh").stat().st_mode & (stat.S_ISUID | 0o111)


@pytest.mark.parametrize("packing", [".gz", ".bz2", ".xz"])
def test_a_single_file_is_named_without_its_suffix(tmp_path, packing):
    path = tmp_path / f"labels.csv{packing}"
    path.write_bytes(PACKERS[packing](b"id\n1\n"))
    assert unpack([path], tmp_path / "out") == (1, 5)
    assert found(tmp_path / "out") == {"labels.csv": b"id\n1\n"}


def test_several_archives_make_one_folder(tmp_path, refused):
    one = tarred(tmp_path / "images_001.tar.gz", member("images/1.png"), packer=gzip.compress)
    two = zipped(tmp_path / "images_002.zip", {"images/2.png": b"y"})
    refused(one, "images_001.tar.gz cannot be unpacked: 'images/1.png' comes twice", two, one)
    assert unpack([one, two], tmp_path / "out") == (2, 2)
    assert found(tmp_path / "out") == {"images/1.png": b"x", "images/2.png": b"y"}


NAMES = ["../x", "a/../../x", "/etc/x", "C:/x", "c:x", "..\\x", "a\\..\\x", "\\\\host\\x", ".."]


@pytest.mark.parametrize("name", [*NAMES, "x\0.png"])
def test_a_name_in_a_zip_that_leads_out(tmp_path, refused, name):
    """Written byte by byte where Python's own writer would mend the name."""
    path = zipped(tmp_path / "x.zip", {"good.png": b"x", "~" * len(name): b"x"})
    path.write_bytes(path.read_bytes().replace(b"~" * len(name), name.encode()))
    refused(path, "leads out of the folder")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_tar_that_leads_out(tmp_path, refused, name):
    refused(tarred(tmp_path / "x.tar", member("good.png"), member(name)), "leads out of the folder")


@pytest.mark.parametrize(
    "hostile",
    [
        link("a", "/etc/passwd"),
        link("a", "../../secret"),
        link("a", "good.png"),  # inside too: no data set needs it, and what follows could be written through it
        link("a", "/etc/passwd", tarfile.LNKTYPE),
        link("a", "good.png", tarfile.LNKTYPE),
        (member("a", type=tarfile.CHRTYPE, devmajor=1, devminor=3)[0], None),
        (member("a", type=tarfile.BLKTYPE)[0], None),
        (member("a", type=tarfile.FIFOTYPE)[0], None),
        (member("a", type=b"Z")[0], b"x"),
    ],
)
def test_links_and_devices_in_a_tar(tmp_path, refused, hostile):
    refused(tarred(tmp_path / "x.tar", member("good.png"), hostile, member("a/b")), "'a' is a link or a device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip(tmp_path, refused, kind):
    info = zipfile.ZipInfo("a")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    refused(zipped(tmp_path / "x.zip", {"good.png": b"x", info: b"/etc/passwd"}), "'a' is a link or a device")


@pytest.mark.parametrize("names", [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("a", "a/b/c"), (".", "a")])
def test_a_name_that_comes_twice(tmp_path, refused, names):
    refused(tarred(tmp_path / "x.tar", *map(member, names)), "comes twice, or is both a file and a folder")


def test_a_name_that_comes_twice_in_a_zip(tmp_path, refused):
    path = zipped(tmp_path / "x.zip", {"a.png": b"x", "b.png": b"y"})
    path.write_bytes(path.read_bytes().replace(b"b.png", b"a.png"))
    refused(path, "'a.png' comes twice")


def test_folders_without_end(tmp_path, refused):
    refused(zipped(tmp_path / "x.zip", {"a/" * 3000 + "x": b""}), "more than 64 folders deep")


def test_a_bomb_is_stopped_while_it_grows(tmp_path, refused, monkeypatch):
    monkeypatch.setattr(unpacking, "UNMEASURED", 2**20)
    zeros = bytes(2**23)
    bombs = [
        zipped(tmp_path / "x.zip", {"a": zeros}),
        tarred(tmp_path / "x.tar.gz", member("a", zeros), packer=gzip.compress),
        tarred(tmp_path / "x.tar.bz2", member("a", zeros), packer=bz2.compress),
        tarred(tmp_path / "x.tar.xz", member("a", zeros), packer=lzma.compress),
    ]
    (tmp_path / "x.gz").write_bytes(gzip.compress(zeros))
    for bomb in (*bombs, tmp_path / "x.gz"):
        refused(bomb, r"grows to more than 200 times its packed size \(--max-ratio\)")
    assert unpack([bombs[0]], tmp_path / "out", Limits(ratio=1e6))[1] == len(zeros)


def test_a_bomb_in_one_file_is_not_hidden_by_the_others(tmp_path, refused, monkeypatch):
    monkeypatch.setattr(unpacking, "UNMEASURED", 2**20)
    noise = np.random.default_rng(0).bytes(2**20)
    refused(zipped(tmp_path / "x.zip", {"a": noise, "b": bytes(2**23)}), "grows to more than 200 times")
    members = [member("a", noise), member("b", bytes(2**23))]
    refused(tarred(tmp_path / "x.tar.gz", *members, packer=gzip.compress), "grows to more than 200 times")


def test_a_bomb_of_many_small_files(tmp_path, refused, monkeypatch):
    monkeypatch.setattr(unpacking, "UNMEASURED", 2**21)
    path = zipped(tmp_path / "x.zip", {str(n): bytes(2**20) for n in range(4)})
    refused(path, "grows to more than 200 times")
    refused(path, r"more than 0.003 GB \(--max-gb\)", total=3e6, ratio=1e6)
    refused(path, r"more than 3 files and folders \(--max-files\)", files=3, ratio=1e6)


def test_sizes_in_headers_are_not_believed(tmp_path, refused):
    path = zipped(tmp_path / "x.zip", {"a": b"x" * 1000})
    raw = path.read_bytes()
    for said in (10, 2000):
        path.write_bytes(raw.replace(struct.pack("<I", 1000), struct.pack("<I", said)))
        refused(path, "damaged")


def test_a_tar_with_a_header_of_gigabytes_is_not_read_into_memory(tmp_path, refused):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2**21))
    refused(tmp_path / "x.tar", "damaged: a header of 8589934592 bytes")


def test_an_encrypted_zip(tmp_path, refused):
    path = zipped(tmp_path / "x.zip", {"a": b"secret"})
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    refused(path, "x.zip cannot be unpacked: it is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_could_fill_the_memory(tmp_path, refused, method):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as file:
        file.writestr("a", b"x")
    refused(tmp_path / "x.zip", "packed by a rare method")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.gz"])
def test_a_download_that_was_cut_off(tmp_path, refused, name):
    """At any byte, even between two files of a tar, and with any byte missing from the end."""
    data = np.random.default_rng(0).bytes(1000)
    if name == "x.zip":
        zipped(tmp_path / name, {"a": data, "b": data})
    elif name == "x.gz":
        (tmp_path / name).write_bytes(gzip.compress(data))
    else:
        tarred(
            tmp_path / name, member("a", data), member("b", data), packer=PACKERS[Path(name).suffix.replace(".tar", "")]
        )
    whole = (tmp_path / name).read_bytes()
    # a tar is whole from its first block of zeros on, at 3072
    ends = [len(whole) * n // 7 for n in range(1, 7)] + [1536, 3072] + ([len(whole) - 1] if name != "x.tar" else [])
    for end in (e for e in ends if e < min(len(whole), 3584)):
        (tmp_path / name).write_bytes(whole[:end])
        refused(tmp_path / name, "cut off|damaged|not an archive")


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path, refused):
    path = tarred(tmp_path / "x.tar", member("a"), member("b"), member("c"))
    raw = bytearray(path.read_bytes())
    raw[1024 + 3] ^= 0xFF  # in the header of b, which its sum no longer fits
    path.write_bytes(raw)
    refused(path, "does not end as a tar does")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.xz"])
def test_any_damage_is_one_line_or_harmless(tmp_path, name):
    """Random changes: an error of the user's kind, or the files; never a crash, never anything outside or half-done."""
    data = {"a/1.png": b"x" * 300, "b.csv": np.random.default_rng(0).bytes(200)}
    if name == "x.zip":
        zipped(tmp_path / name, data)
    else:
        members = [member(*item) for item in data.items()]
        tarred(tmp_path / name, *members, packer=PACKERS[Path(name).suffix.replace(".tar", "")])
    whole, rng = (tmp_path / name).read_bytes(), np.random.default_rng(1)
    for number in range(120):
        raw = bytearray(whole)
        for place in rng.integers(0, len(raw), 1 + number % 4):
            raw[place] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(raw)
        folder = tmp_path / f"out{number}"
        with suppress(UserError):
            unpack([tmp_path / name], folder)
            assert folder.exists()
    outside = {p.name for p in tmp_path.iterdir()} - {name} - {f"out{n}" for n in range(120)}
    assert not outside


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("x.zip", b"", "not an archive: expected zip, tar"),
        ("x.zip", b"<html>please log in</html>", "not an archive"),
        ("x.tar.gz", gzip.compress(b"<html>please log in</html>", mtime=0), "not an archive"),
        ("x.7z", b"7z\xbc\xaf\x27\x1c\0\0", "7z is not read here: unpack it with its own program"),
        ("x.rar", b"Rar!\x1a\x07\0", "RAR is not read here"),
        ("x.tar.zst", b"\x28\xb5\x2f\xfd", "Zstandard is not read here"),
        ("x.zip", b"PK\x05\x06" + bytes(18), "it holds nothing"),
    ],
)
def test_what_is_not_an_archive(tmp_path, refused, name, data, text):
    (tmp_path / name).write_bytes(data)
    refused(tmp_path / name, text)


def test_the_folder_must_be_new(tmp_path, monkeypatch):
    path = zipped(tmp_path / "x.zip", {"a": b"x"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full/kept").write_text("kept")
    (tmp_path / "empty").mkdir()
    for out, text in (("full", "is not empty"), ("x.zip", "is a file"), ("full/kept/out", "cannot be made")):
        with pytest.raises(UserError, match=text):
            unpack([path], tmp_path / out)
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(UserError, match="the folder that you are in"):
        unpack([path], Path())
    for archive, text in (("no.zip", "no archive at .*no.zip$"), ("full", "it is a folder")):
        with pytest.raises(UserError, match=text):
            unpack([tmp_path / archive], tmp_path / "out")
    assert found(tmp_path / "full") == {"kept": b"kept"}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("empty")
    unpack([path], Path("link"))
    assert found(tmp_path / "empty") == {"a": b"x"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "full", "link", "x.zip"]


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "EVERY", 1)

    def interrupt(_):
        raise KeyboardInterrupt

    path = zipped(tmp_path / "x.zip", {"a": b"x"})
    with pytest.raises(KeyboardInterrupt):
        unpack([path], tmp_path / "out", progress=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["x.zip"]


def test_a_full_disk_is_said(tmp_path, refused, monkeypatch):
    path, opened = zipped(tmp_path / "x.zip", {"a": b"x"}), Path.open

    def full(self, mode="r"):
        if mode == "xb":
            raise OSError(28, "No space left on device")
        return opened(self, mode)

    monkeypatch.setattr(Path, "open", full)
    refused(path, "x.zip cannot be unpacked: No space left on device")
