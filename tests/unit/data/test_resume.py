"""A killed preparation goes on where it was, and ends with the same bytes; another one starts afresh."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from safetensors import SafetensorError

from mtmed.data import pieces, store, work
from mtmed.data.prepare import Private, prepare
from mtmed.data.work import Work, listing
from mtmed.errors import UserError

KEY = bytes(32)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_STUDIES", 16)


def run(config, raw, out, says=None):
    says = [] if says is None else says
    prepare("here", config, raw, out, Private(KEY, out.with_name(f"{out.name}-private")), 0, says.append)
    return {p.name: p.read_bytes() for p in out.iterdir()}


def stop_after(monkeypatch, made):
    """Die in the work on the study after `made`."""
    count = iter(range(made))

    def dying(raw, recipe, make=pieces.make):
        if next(count, None) is None:
            raise KeyboardInterrupt
        return make(raw, recipe)

    monkeypatch.setattr(pieces, "make", dying)


def test_finished_pieces_are_not_made_again(hospital, configured, tmp_path, monkeypatch):
    raw = hospital(modality="mammography", patients=40, broken=3)
    whole = run(configured(raw), raw, tmp_path / "whole")
    assert sum(name.startswith("samples-") for name in whole) > 2
    with monkeypatch.context() as patch:
        stop_after(patch, 40)
        with pytest.raises(KeyboardInterrupt):
            run(configured(raw), raw, tmp_path / "killed")
    assert not (tmp_path / "killed/index.json").exists()
    made = []
    original = pieces.make
    monkeypatch.setattr(pieces, "make", lambda raw, recipe: (made.append(raw.study), original(raw, recipe))[1])
    assert run(configured(raw), raw, tmp_path / "killed") == whole
    assert 0 < len(made) <= 2 * 16
    assert not (tmp_path / "killed-private/unfinished").exists()


def test_a_change_of_anything_starts_afresh(tmp_path):
    Work(tmp_path / "work", "a").finish(0, [], {"hashes": [], "refused": []})
    assert Work(tmp_path / "work", "a").record(0)
    assert Work(tmp_path / "work", "b").record(0) is None


def test_a_piece_whose_shard_is_gone_is_made_again(tmp_path):
    found = Work(tmp_path / "work", "a")
    found.finish(0, [], {"hashes": [["study", "digest", "hash"]]})
    assert found.record(0) is None


def test_a_change_behind_a_link_is_seen_and_any_name_is_listed(tmp_path):
    raw, elsewhere = tmp_path / "raw", tmp_path / "film.png"
    raw.mkdir()
    (raw / os.fsdecode(b"M\xfcller.png")).touch()  # not UTF-8
    elsewhere.write_bytes(b"one")
    (raw / "link.png").symlink_to(elsewhere)
    (raw / "broken.png").symlink_to(tmp_path / "nothing")
    (raw / "again").symlink_to(raw)
    before = listing(raw)
    assert listing(raw) == before
    elsewhere.write_bytes(b"another")
    assert listing(raw) != before


def test_samples_cannot_be_read_while_they_are_replaced(hospital, configured, tmp_path, monkeypatch):
    raw = hospital(modality="mammography", patients=20)
    out = tmp_path / "out"
    run(configured(raw), raw, out)
    (raw / "more.txt").touch()  # made again

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(work, "_link", killed)
    with pytest.raises(KeyboardInterrupt):
        run(configured(raw), raw, out)
    with pytest.raises(UserError):
        store.read(out)


def test_two_preparations_of_the_same_samples(hospital, configured, tmp_path):
    raw = hospital(modality="mammography", patients=6)
    with work.alone(tmp_path / "out-private"), pytest.raises(UserError, match="another preparation is at work"):
        run(configured(raw), raw, tmp_path / "out")
    run(configured(raw), raw, tmp_path / "out")


def test_a_disk_that_is_full(hospital, configured, tmp_path, monkeypatch):
    def full(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device")

    monkeypatch.setattr(store, "save_file", full)
    raw = hospital(modality="mammography", patients=6)
    with pytest.raises(OSError, match="samples cannot be written; is the disk full"):
        run(configured(raw), raw, tmp_path / "out")


PROGRAM = """
import sys
from pathlib import Path
from mtmed.config import load
from mtmed.data import pieces
from mtmed.data.prepare import Private, prepare
pieces.PIECE_STUDIES = 16
if __name__ == "__main__":
    raw, out = map(Path, sys.argv[1:])
    prepare("here", load("params.yaml"), raw, out, Private(bytes(32), out.with_name("private")), 2)
"""


def test_kill_9_and_run_again(hospital, configured, tmp_path):
    """The real thing: worker processes, SIGKILL to all of them in the middle, and a second run."""
    raw = hospital(modality="mammography", patients=60, size=256)
    (tmp_path / "run.py").write_text(PROGRAM)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(configured(raw).model_dump(mode="json")))
    command = [sys.executable, "run.py", str(raw), str(tmp_path / "out")]
    first = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL)
    _wait_for(tmp_path / "private/unfinished/piece-00001.json")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not (tmp_path / "out").exists()
    kept = (tmp_path / "private/unfinished/samples-00000.safetensors").stat().st_ino
    second = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert (tmp_path / "out/samples-00000.safetensors").stat().st_ino == kept  # the very file of the first run
    assert "studies prepared" in second.stdout
    subprocess.run([*command[:-1], str(tmp_path / "again")], cwd=tmp_path, check=True, capture_output=True)
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def _wait_for(path: Path) -> None:
    for _ in range(1200):
        if path.exists():
            return
        time.sleep(0.05)
    pytest.fail(f"no {path.name}")
