"""The recipe of docs/data.md, as it stands there: fetched by DVC from a server, unpacked, read; and a newer version."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mtmed import datasets
from mtmed.datasets import kermany
from mtmed.types import HeadSpec
from tests.shapes import kermany as shape
from tests.shapes import picture, write_picture

ROOT = Path(__file__).parents[2]
HEADS = {"pneumonia": HeadSpec("pneumonia", "classification", ("pneumonia",), ("chest_xray",))}

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("server")]


class _Mendeley(SimpleHTTPRequestHandler):
    """Redirects to where the file lies, and names its version by an ETag, as stores do."""

    def do_GET(self) -> None:
        self._or_redirect(super().do_GET)

    def do_HEAD(self) -> None:
        self._or_redirect(super().do_HEAD)

    def _or_redirect(self, answer: Any) -> None:
        if not self.path.endswith("/file_downloaded"):
            return answer()
        self.send_response(302)
        self.send_header("Location", "/kermany.zip")
        return self.end_headers()

    def end_headers(self) -> None:
        file = Path(self.translate_path(self.path))
        if file.is_file():
            self.send_header("ETag", f'"{sha256(file.read_bytes()).hexdigest()}"')
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that has read enough and hangs up is no error."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """(folder that is served, its address)"""
    folder = tmp_path / "web"
    folder.mkdir()
    server = _Server(("127.0.0.1", 0), lambda *args: _Mendeley(*args, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield folder, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def shell(tmp_path: Path) -> Any:
    """`shell(command)` in a project of its own; its output is shown when it fails."""
    project = tmp_path / "project"
    project.mkdir()
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, project)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "DVC_NO_ANALYTICS": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(tmp_path / "config"),
        "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
    }

    def run(command: str) -> Path:
        done = subprocess.run(command, shell=True, cwd=project, env=environment, capture_output=True, text=True)
        print(done.stdout, done.stderr)
        assert done.returncode == 0, command
        return project

    run("git init -q && dvc init -q")
    return run


def documented(first: str) -> list[str]:
    """The commands of the block in docs/data.md that starts with `first`."""
    blocks = re.findall(r"(?:^    .+\n)+", (ROOT / "docs/data.md").read_text(), re.MULTILINE)
    (block,) = [b for b in blocks if b.strip().startswith(first)]
    return [line.strip() for line in block.splitlines()]


def publish(folder: Path, more: str = "") -> None:
    """Kermany's archive, with one film more where that is named."""
    shape.write(folder / "set/chest_xray")
    if more:
        write_picture(folder / "set/chest_xray" / more, picture(99))
    shutil.make_archive(str(folder / "kermany"), "zip", folder / "set")
    shutil.rmtree(folder / "set")


def read(project: Path) -> set[str]:
    studies = list(datasets.studies("kermany", project / "data/raw/kermany", datasets.options("kermany")(), HEADS))
    assert not [s.fault for s in studies if s.fault]
    assert any(s.values["pneumonia"].any() for s in studies)
    return {s.image.name for s in studies}


def test_the_documented_recipe_fetches_unpacks_and_updates(web: tuple[Path, str], shell: Any) -> None:
    folder, address = web
    publish(folder)
    fetch, update = documented("mkdir -p archives"), documented("dvc update")
    assert any(kermany.CARD.download[0] in line for line in fetch)
    for line in fetch:
        project = shell(line.replace("https://data.mendeley.com", address))
    first = read(project)
    assert len(first) == len(shape.FILMS)
    shell("git check-ignore -q archives/kermany.zip && ! git check-ignore -q archives/kermany.zip.dvc")

    new = "train/PNEUMONIA/person77_virus_1.jpeg"
    publish(folder, new)
    for line in update:
        shell(line)
    assert read(project) == first | {Path(new).name}

    before = (project / "archives/kermany.zip.dvc").read_bytes()
    shell(update[0])
    assert (project / "archives/kermany.zip.dvc").read_bytes() == before, "nothing new: nothing changes"
