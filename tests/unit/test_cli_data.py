"""`mtmed unpack` and `mtmed partition`, as a user calls them and as docs/data.md shows them."""

import csv
import json
import re
import shlex
import zipfile
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from flows.cli import app
from mtmed.config import parse
from mtmed.data.partition import RULES, read_part
from mtmed.errors import UserError
from mtmed.registry import names
from tests.shapes import picture, rsna_pneumonia, write_picture

DOCS = (Path(__file__).parents[2] / "docs/data.md").read_text()
HEADS = {"lesion_detection": {"kind": "detection", "classes": ["lesion"], "modalities": ["chest_xray"]}}


def mtmed(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(result, text):
    """Exit status 2, and one line on stderr that matches `text`."""
    assert result.exit_code == 2, result.output
    assert re.fullmatch(f"error: .*{text}.*\n", result.stderr), result.stderr


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder: no params.yaml, so heads are what the data set says."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def rsna():
    rsna_pneumonia.write(Path("data/raw/rsna"))


def test_unpack():
    with zipfile.ZipFile("set.zip", "w") as file:
        file.writestr("a/labels.csv", "id\n")
        file.writestr("b.csv", "id\n")
    result = mtmed("unpack", "set.zip", "--out", "data/raw/set")
    assert (result.exit_code, result.stdout) == (0, "data/raw/set: 2 files, 0.0 MB\n")
    assert Path("data/raw/set/a/labels.csv").read_text() == "id\n"
    refused(mtmed("unpack", "set.zip", "--out", "data/raw/set"), "data/raw/set is not empty")
    refused(mtmed("unpack", "set.zip", "--out", "new", "--max-files", 1), "set.zip .* more than 1 files and folders")
    refused(mtmed("unpack", "set.zip", "--out", "new", "--max-gb", 5e-9), "more than 5e-09 GB")
    refused(mtmed("unpack", "data/raw/set/b.csv", "--out", "new"), "b.csv cannot be unpacked: not an archive")
    refused(mtmed("unpack", "no.zip", "--out", "new"), "no archive at no.zip")
    assert sorted(p.name for p in Path().iterdir()) == ["data", "set.zip"]


def ask(*more, out="parts/rsna.csv", sites="north,south", at_least=1):
    words = ("--dataset", "rsna_pneumonia", "--raw", "data/raw/rsna", "--out", out, "--at-least", at_least)
    return mtmed("partition", *words, *(("--sites", sites) if sites else ()), *more)


def snippet(result):
    """The lines for params.yaml."""
    return yaml.safe_load(result.stdout[result.stdout.index("sites:") :])["sites"]


@pytest.mark.usefixtures("rsna")
def test_partition_writes_who_is_where_and_prints_what_params_needs():
    result = ask()
    assert result.exit_code == 0, result.stderr
    recipe = yaml.safe_load(Path("parts/rsna.yaml").read_text())
    entry = {"dataset": "rsna_pneumonia", "raw": "data/raw/rsna", "part": "parts/rsna.csv"}
    assert snippet(result) == recipe["sites"] == {"north": entry, "south": entry}
    with Path("parts/rsna.csv").open() as file:
        rows = list(csv.DictReader(file))
    patients = [row["patient"] for row in rows]
    assert patients == sorted(f"0000000{n}" for n in range(1, 6))
    parts = {site: read_part(Path("parts/rsna.csv"), site) for site in ("north", "south")}
    assert sorted(map(len, parts.values())) == [2, 3]
    lines = dict(re.findall(r"^(\w+) +(.*)$", result.stdout, re.MULTILINE))
    assert lines["patients"].split() == [str(len(parts["north"])), str(len(parts["south"])), "5"]
    assert lines["images"].split()[-1] == "6"
    assert lines["pneumonia"].split()[-1] == "2/6"
    counts = recipe["recipe"]["counts"]
    assert sum(c["labels"]["pneumonia"]["positive"] for c in counts.values()) == 2


@pytest.mark.usefixtures("rsna")
def test_the_recipe_makes_the_same_again():
    """By the command in it; and nothing is overwritten by anything else."""
    assert ask("--by", "scanner", "--seed", 3).exit_code == 0
    first = Path("parts/rsna.csv").read_bytes(), Path("parts/rsna.yaml").read_bytes()
    command = shlex.split(yaml.safe_load(first[1])["recipe"]["command"])
    assert mtmed(*command[1:]).exit_code == 0
    assert (Path("parts/rsna.csv").read_bytes(), Path("parts/rsna.yaml").read_bytes()) == first
    Path("parts/rsna.csv").write_bytes(first[0] + b"someone,north\n")
    with pytest.raises(UserError, match=r"parts/rsna.csv is not the table that parts/rsna.yaml describes"):
        read_part(Path("parts/rsna.csv"), "north")
    Path("parts/rsna.csv").write_bytes(first[0])
    refused(ask("--by", "scanner", "--seed", 4), "parts/rsna.csv holds another partition")
    refused(ask("--by", "even", "--seed", 3), "parts/rsna.csv holds another partition")  # the same, but no scanners
    assert (Path("parts/rsna.csv").read_bytes(), Path("parts/rsna.yaml").read_bytes()) == first
    Path("parts/other.yaml").write_text("my notes")
    refused(ask(out="parts/other.csv"), "parts/other.csv holds another partition")
    assert Path("parts/other.yaml").read_text() == "my notes"
    assert not Path("parts/other.csv").exists()


@pytest.mark.usefixtures("rsna")
def test_scanners_are_written_for_params():
    sites = snippet(ask("--by", "scanner"))
    known = parse({"sites": sites, "heads": HEADS}).sites
    assert known["north"].scanner != known["south"].scanner
    assert sites["north"]["scanner"]["gamma"] == known["north"].scanner.gamma
    assert (
        snippet(ask("--by", "scanner", "--seed", 1, out="parts/other.csv"))["north"]["scanner"]
        != sites["north"]["scanner"]
    )


@pytest.mark.usefixtures("rsna")
def test_labels_are_those_of_the_heads_in_params():
    heads = {"flu": {"kind": "classification", "classes": ["pneumonia"], "modalities": ["chest_xray"]}}
    Path("p.yaml").write_text(yaml.safe_dump({"heads": heads, "sites": {"x": {"dataset": "manifest", "raw": "x"}}}))
    result = ask("--by", "labels:1", "--params", "p.yaml")
    assert re.search(r"^flu +\d/\d +\d/\d +2/6$", result.stdout, re.MULTILINE)
    assert not re.search(r"^opacity", result.stdout, re.MULTILINE)
    assert "--params p.yaml" in Path("parts/rsna.yaml").read_text()


def test_natural_without_names_makes_a_site_of_each_value(here):
    for number in range(6):
        write_picture(here / f"raw/{number}.png", picture(number))
    rows = [f"{n}.png,p{n},{'Kings' if n % 3 else 'St. Anne'},PA,normal" for n in range(6)]
    Path("raw/m.csv").write_text("\n".join(["image,patient_id,hospital,view,label", *rows, ""]))
    words = (
        "--dataset",
        "manifest",
        "--raw",
        "raw",
        "--out",
        "parts/h.csv",
        "--at-least",
        2,
        "--option",
        "manifest=m.csv",
    )
    result = mtmed("partition", *words, "--by", "natural:hospital")
    assert result.exit_code == 0, result.stderr
    sites = snippet(result)
    assert list(sites) == ["Kings", "St-Anne"]
    assert sites["Kings"]["options"] == {"manifest": "m.csv"}
    assert read_part(Path("parts/h.csv"), "St-Anne") == {"p0", "p3"}
    assert "hospital of St-Anne: St. Anne\n" in result.stdout
    assert yaml.safe_load(Path("parts/h.yaml").read_text())["recipe"]["hospital"]["Kings"] == "Kings"
    refused(mtmed("partition", *words, "--by", "natural:hospitl"), "unknown column 'hospitl'.*did you mean 'hospital'")
    refused(mtmed("partition", *words, "--by", "even"), "--sites: expected names")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"more": ("--by", "evn")}, "unknown rule 'evn': .*did you mean 'even'"),
        ({"more": ("--by", "labels")}, "--by labels: expected natural:COLUMN, labels:ALPHA"),
        ({"more": ("--by", "labels:0")}, "alpha '0': expected a number from 0.001"),
        ({"more": ("--option", "splt=official")}, "splt"),
        ({"more": ("--params", "no.yaml")}, "no configuration at no.yaml"),
        ({"sites": "north"}, "sites north: expected two or more different names"),
        ({"sites": "north,north"}, "two or more different names"),
        ({"sites": "north,new york"}, "site name 'new york': expected letters"),
        ({"sites": "north,global"}, "site name 'global' is used by mtmed itself"),
        ({"at_least": 3}, r"5 patients for 2 sites: expected at least 3 each \(--at-least\)"),
        ({"out": "parts/x.csv/y.csv"}, "cannot be written"),
        ({"out": "parts.txt"}, "--out parts.txt: expected a name that ends in .csv"),
        ({"out": "splits/x.csv"}, "--out splits/x.csv: expected a file below parts/, e.g. parts/x.csv"),
    ],
)
@pytest.mark.usefixtures("rsna")
def test_mistakes(more, text):
    Path("parts").mkdir()
    Path("parts/x.csv").touch()
    refused(ask(*more.pop("more", ()), **more), text)
    assert sorted(p.name for p in Path().iterdir()) == ["data", "parts"]
    assert [p.name for p in Path("parts").iterdir()] == ["x.csv"]


def test_no_such_data():
    refused(ask(), "no raw studies of rsna_pneumonia: expected a folder at data/raw/rsna")
    Path("data/raw/rsna").mkdir(parents=True)
    refused(ask(), "RSNA Pneumonia: data/raw/rsna lacks stage_2_train_labels.csv")
    refused(mtmed("partition", "--dataset", "rsna", "--raw", "x", "--out", "x.csv"), "unknown data set 'rsna'")


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL))
def test_the_documented_lines_are_valid(block):
    assert parse({**yaml.safe_load(block), "heads": HEADS}).sites


@pytest.mark.parametrize("line", re.findall(r"mtmed (?:unpack|partition|prepare|datasets)[^`\n\"#]*", DOCS))
def test_the_documented_commands_exist(line):
    _, name, *words = shlex.split(line)
    command = typer.main.get_command(app).commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_rule_and_every_reader_is_documented():
    first = re.findall(r"^\| `([^`]+)` \|", DOCS, re.MULTILINE)
    assert {cell.split(":")[0] for cell in first if cell.split(":")[0] in RULES} == set(RULES)
    assert set(first) >= set(names("mtmed.datasets")) - {"manifest"}


@pytest.mark.usefixtures("rsna")
def test_prepare_needs_nothing_but_the_data_set():
    """No params.yaml: a head for each thing that RSNA says, and what leads back lies beside the samples."""
    words = ("prepare", "--dataset", "rsna_pneumonia", "--raw", "data/raw/rsna", "--out", "out/rsna", "--processes", 0)
    result = mtmed(*words)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("report: out/rsna/report.html\n")
    summary = json.loads(Path("out/rsna/summary.json").read_text())
    assert summary["heads"].keys() == {"opacity_detection", "lesion_detection", "pneumonia", "opacity", "normal"}
    assert summary["studies"] == 6
    assert {p.name for p in Path("out").iterdir()} == {"rsna", "rsna-private"}
    assert {p.name for p in Path("out/rsna-private").iterdir()} == {"key", "names.csv"}
    before = Path("out/rsna/index.json").stat().st_mtime_ns
    assert mtmed(*words).exit_code == 0  # again, with the same key
    assert Path("out/rsna/index.json").stat().st_mtime_ns > before


@pytest.mark.usefixtures("rsna")
def test_prepare_takes_heads_of_params_and_options_of_the_reader():
    heads = {"sick": {"kind": "classification", "classes": ["sick"], "modalities": ["chest_xray"]}}
    Path("p.yaml").write_text(yaml.safe_dump({"sites": {"x": {"dataset": "manifest", "raw": "x"}}, "heads": heads}))
    words = ("prepare", "--dataset", "rsna_pneumonia", "--raw", "data/raw/rsna", "--params", "p.yaml", "--processes", 0)
    assert mtmed(*words, "--out", "a", "--option", "heads={sick: {sick: [pneumonia]}}").exit_code == 0
    assert json.loads(Path("a/summary.json").read_text())["heads"] == {"sick": {"sick": {"labelled": 6, "positive": 2}}}
    refused(mtmed(*words, "--out", "b"), "no study is labelled for any head")
    refused(mtmed(*words, "--out", "b", "--option", "heads"), "--option heads: expected KEY=VALUE")
    refused(mtmed(*words, "--out", "b", "--option", "heads={sick: ["), "--option heads: expected YAML")
    refused(mtmed(*words, "--out", "b", "--option", "haeds={}"), "did you mean 'sites.rsna_pneumonia.options.heads'")
    Path("p.yaml").write_bytes("# Müller".encode("latin-1"))
    refused(mtmed(*words, "--out", "b"), r"p.yaml is not in UTF-8 \(byte 3\): save it as UTF-8")
    assert not Path("b").exists()


@pytest.mark.usefixtures("rsna")
def test_prepare_says_what_is_wrong():
    words = ("--raw", "data/raw/rsna", "--out", "out", "--processes", 0)
    refused(mtmed("prepare", "--dataset", "rnsa_pneumonia", *words), "did you mean 'rsna_pneumonia'")
    refused(
        mtmed("prepare", "--dataset", "cbis_ddsm", *words),
        "CBIS-DDSM: data/raw/rsna lacks .*; found pneumonia-challenge",
    )
    refused(mtmed("prepare", "--dataset", "rsna_pneumonia", "--raw", "no", "--out", "out"), "expected a folder at no")
    Path("out").mkdir()
    Path("out/thesis.tex").write_text("")
    refused(mtmed("prepare", "--dataset", "rsna_pneumonia", *words), "--out out holds something else")
    assert [p.name for p in Path("out").iterdir()] == ["thesis.tex"]
    assert not Path("out-private").exists()  # no key of what was not prepared


@pytest.mark.usefixtures("rsna")
def test_prepare_replaces_its_own_samples_only():
    words = ("--raw", "data/raw/rsna", "--processes", 0)
    rsna = ("prepare", "--dataset", "rsna_pneumonia", *words)
    refused(mtmed(*rsna, "--out", "data/raw/rsna/out"), "lies in --raw data/raw/rsna, where nothing is written")
    assert mtmed(*rsna, "--out", "out").exit_code == 0
    names = Path("out-private/names.csv").read_bytes()
    other = mtmed("prepare", "--dataset", "manifest", *words, "--out", "out")
    refused(other, "holds prepared samples of rsna_pneumonia")
    assert Path("out-private/names.csv").read_bytes() == names
    # killed while it handed the samples over: there is no list of them, and the same command goes on
    (Path("out") / "index.json").unlink()
    (Path("out") / "summary.json").unlink()
    Path("out-private/unfinished").mkdir()
    assert mtmed(*rsna, "--out", "out").exit_code == 0


@pytest.mark.usefixtures("rsna")
def test_params_need_nothing_but_heads():
    heads = {"sick": {"kind": "classification", "classes": ["pneumonia"], "modalities": ["chest_xray"]}}
    Path("p.yaml").write_text(yaml.safe_dump({"heads": heads}))
    words = ("prepare", "--dataset", "rsna_pneumonia", "--raw", "data/raw/rsna", "--params", "p.yaml", "--processes", 0)
    assert mtmed(*words, "--out", "a").exit_code == 0
    assert json.loads(Path("a/summary.json").read_text())["heads"].keys() == {"sick"}
