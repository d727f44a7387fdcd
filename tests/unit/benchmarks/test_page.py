import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import benchmarks.claims as program
from benchmarks.evidence import federation_figure, label_efficiency
from benchmarks.evidence.claimed import MASKS
from benchmarks.evidence.drawing import drawn_from
from benchmarks.evidence.figures import chance, number, spread
from benchmarks.evidence.page import DRAWINGS, END, START, hidden, made, rewritten
from benchmarks.result_rows import FACTS, append, read, run
from mtmed.errors import UserError

PARTS = ("claims", "results phantom", "facts phantom", "tuning phantom-tuning", "label efficiency", "results real")
PAGE = "# Results\n\n" + "\n".join(f"{START}{name} -->\nfrom before\n{END}\n\nprose\n" for name in PARTS)
REMEDY = "make them again with: python -m benchmarks.claims --write"
app = program.typer.Typer()
app.command()(program.main)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rows of two arms, ten seeds, all masks and a tenth of them; a tuning; and a page without anything of them."""
    rng = np.random.default_rng(0)
    for experiment in ("phantom", "phantom-masks-10"):
        for seed in range(10):
            for arm, gain in (("multitask", 0.05), ("single", 0.0)):
                dice, mae = 0.6 + gain + rng.normal(0, 0.01), 3 - gain
                metrics = {"lesion_segmentation": {"dice": dice}, "lesion_size": {"mae": mae}}
                facts = {FACTS: {"parameters": 2.4e6, "images_per_s": 80.0, "epochs": 12.0}}
                append(experiment, run(arm, seed, metrics | facts), tmp_path)
    append("phantom", run("single", 0, {"lesion_size": {"images_per_s": 75.0}}), tmp_path)
    for rate, dice in (("0.001", 0.5), ("0.003", 0.6)):
        append("phantom-tuning", run(f"multitask@rate={rate}", 0, {"lesion_segmentation": {"dice": dice}}), tmp_path)
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path


def _call(folder: Path, *words: str, code: int = 0) -> str:
    place = ["--results", str(folder), "--page", str(folder / "page.md")]
    result = CliRunner().invoke(app, [*place, *words])
    assert result.exit_code == code, result.output
    return result.output


def test_the_docs_are_what_the_program_makes_of_the_rows() -> None:
    rows, text = program.read_all(), program.PAGE.read_text()
    assert f"{START}claims -->" in text
    assert text == rewritten(text, rows), f"docs/results.md differs from the rows; {REMEDY}"
    assert not hidden(text, rows), "rows without a part of docs/results.md"
    for drawing in DRAWINGS:
        figure = program.PAGE.with_name(drawing.file)
        assert figure.is_file() == bool(drawing.shown(rows)), f"docs/{drawing.file}: {REMEDY}"
        if figure.is_file():
            assert drawn_from(figure) == drawing.digest(rows), f"docs/{drawing.file}: drawn from other rows; {REMEDY}"


def test_the_page_is_made_from_the_rows(folder: Path) -> None:
    printed = _call(folder, "--write")
    page = (folder / "page.md").read_text()
    assert "from before" not in page
    assert page.count("prose") == len(PARTS)
    for line in (
        r"\| beats single-task transformers that share its time \| lesion_segm.*\| .002 \| .045 \|.*\| \*\*hol",
        r"\| beats UNet \(MONAI\) \| lesion_segmentation .* not measured \(0 of 10 runs\)",
        r"\| with 25 % of the masks, .* not measured",
        r"\| runs \| - \| 10 \| 10 \|",
        r"\| lesion_segmentation \| Dice, lesion images \| \*\*\.6\d\d ± \.0\d\d\*\* \| \.\d{3} ± \.\d{3} \|",
        r"\| lesion_size \| Mean absolute error, lower is better \| \*\*2\.95 ± \.000\*\* \| 3\.00 ± \.000 \|",
        r"\| arm \| parameters, M \| images/s \| epochs \|",
        r"\| single, lesion_size \| - \| 75\.00 \| - \|",
        r"\| multitask \| 2\.40 \| 80\.00 \| 12\.00 \|",
        r"\| multitask \| rate=0.003 \| 1 \| \*\*.600\*\* \| \*\*.600\*\* \|",
        r"\| arm \| 10 % \| 100 % \|",
        r"!\[.*\]\(label_efficiency.png\)",
        r"Not measured: benchmarks/results/real.csv has no such rows yet",
    ):
        assert re.search(line, page), line
    assert "**holds**" in printed
    _call(folder, "--write")
    assert (folder / "page.md").read_text() == page  # made twice, it is the same


def test_the_figure_says_what_it_was_drawn_from(folder: Path) -> None:
    _call(folder, "--write")
    before, rows = (folder / label_efficiency.DRAWING.file).read_bytes(), program.read_all(folder)
    assert drawn_from(folder / label_efficiency.DRAWING.file) == label_efficiency.DRAWING.digest(rows)
    assert set(label_efficiency.points(rows)["multitask"]) == {10, 100} < set(MASKS)
    _call(folder, "--write")
    assert (folder / label_efficiency.DRAWING.file).read_bytes() == before
    append("phantom-masks-25", run("multitask", 0, {"lesion_segmentation": {"dice": 0.7}}), folder)
    assert drawn_from(folder / label_efficiency.DRAWING.file) != label_efficiency.DRAWING.digest(
        program.read_all(folder)
    )


def test_a_changed_row_is_seen(folder: Path) -> None:
    _call(folder, "--write")
    page = (folder / "page.md").read_text()
    file = folder / "phantom.csv"
    file.write_text(
        file.read_text().replace("phantom,single,3,lesion_size,mae,3\n", "phantom,single,3,lesion_size,mae,4\n")
    )
    assert page != rewritten(page, program.read_all(folder))


def test_strict_asks_for_all(folder: Path) -> None:
    assert "not measured" in _call(folder)
    _call(folder, "--strict", code=1)
    assert (folder / "page.md").read_text() == PAGE  # nothing is written unasked


def test_no_rows_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    assert "**holds**" not in _call(tmp_path, "--write")
    assert not (tmp_path / label_efficiency.DRAWING.file).exists()


def test_rows_that_the_page_does_not_show_are_named(folder: Path) -> None:
    append("speed", run("trainer", 0, {FACTS: {"images_per_s": 80.0}}), folder)
    assert "page.md shows nothing of speed" in _call(folder, "--write")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (f"{START}claims -->\n", "has no end"),
        (f"{START}claims -->\n{START}claims -->\n{END}\n", "has no end"),
        (f"{START}facts -->\n{END}\n", "unknown part of the page 'facts'"),
        (f"{START}result phantom -->\n{END}\n", "unknown part of the page"),
    ],
)
def test_a_page_that_cannot_be_made(folder: Path, page: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        rewritten(page, {})
    (folder / "page.md").write_text(page)
    assert said in _call(folder, "--write", code=2)


def test_numbers_look_like_the_docs() -> None:
    assert [number(v) for v in (0.6, -0.0123, 0, 1, 2.904, 99.5, 1234.4)] == [
        ".600", "-.012", ".000", "1.00", "2.90", "99.50", "1,234",
    ]  # fmt: skip
    assert [number(v, signed=True) for v in (0.01, -0.0004, -2)] == ["+.010", ".000", "-2.00"]
    assert [chance(p) for p in (None, 2 / 1024, 0.0001, 1)] == ["-", ".002", "<.001", "1.00"]
    assert [spread([0.5]), spread([0.5, 0.7])] == [".500", ".600 ± .141"]


def test_strategies_are_rows_with_the_gap_that_they_close(tmp_path: Path) -> None:
    for seed in range(3):
        for arm, dice in (("alone", 0.5), ("bayes", 0.58), ("pooled", 0.6)):
            found = {"dice": dice + seed / 100, "dice.worst": dice - 0.1, "dice.alder": 0.3, "dice.round-1": 0.2}
            metrics = {"lesion_segmentation": found, "malignancy": {"auroc": 0.8}}
            append("fed", run(arm, seed, metrics | {"bytes": {"sent": 2.5e6, "received": 5e6}}), tmp_path)
    rows = {"fed": read("fed", tmp_path)}
    lines = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in made("arms fed", rows).splitlines()}
    titles = lines["arm"]
    assert lines["bayes"][titles.index("Lesion segmentation, Dice, lesion images")] == ".590 ± .010"
    assert lines["bayes"][titles.index("Lesion segmentation, Dice, lesion images, worst site")] == ".480"
    assert lines["bayes"][titles.index("Lesion segmentation, Dice, lesion images, gap closed")] == ".800"
    assert lines["pooled"][titles.index("Lesion segmentation, Dice, lesion images, gap closed")] == "-"
    assert lines["bayes"][titles.index("Malignancy, AUROC, gap closed")] == "-", "there is no gap"
    assert lines["bayes"][titles.index("MB sent")] == "2.50"
    after = made("rounds fed", rows)
    assert "| bayes | Lesion segmentation | .200 ± .000 | .590 ± .010 |" in after


def test_strategies_at_a_glance_are_drawn_from_what_there_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    drawing = federation_figure.DRAWING
    assert not drawing.shown({})
    for seed in range(4):
        for arm, dice in (("alone", 0.5), ("pooled", 0.6), ("bayes", 0.58), ("fedavg", 0.4)):
            found = {"lesion_segmentation": {"dice": dice + rng.normal(0, 0.01), "dice.round-3": dice - 0.1}}
            traffic = {} if arm in ("alone", "pooled") else {"bytes": {"sent": 2e6, "received": 3e6}}
            append("fed", run(arm, seed, found | traffic), tmp_path)
            append("fed-rounds-20", run(arm, seed, found), tmp_path)
    rows = program.read_all(tmp_path)
    shown = drawing.shown(rows)
    assert [*shown] == ["gap", "rounds", "bytes"]
    assert [*shown["gap"]] == ["bayes", "fedavg"]
    assert shown["gap"]["bayes"]["lesion_segmentation"][1] == pytest.approx(0.8, abs=0.2)
    assert [*shown["rounds"]["bayes"]] == [3, 20]
    assert shown["bytes"]["bayes"][0] == 5
    drawing.save(rows, tmp_path)
    assert drawn_from(tmp_path / drawing.file) == drawing.digest(rows)
