from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from benchmarks.result_rows import COLUMNS, FACTS, Row, append, has, names, read, run
from mtmed.errors import UserError

METRICS = {"pneumonia": {"auroc": 0.91}, "lesion": {"dice": 0.5, "dice_pooled": float("nan")}, FACTS: {"steps": 1e7}}


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    append("phantom", run("multitask", 3, METRICS), tmp_path)
    append("phantom", run("arm@rate=0.001,x", "0.10", METRICS), tmp_path)
    rows = read("phantom", tmp_path)
    assert list(rows.columns) == COLUMNS
    assert rows["value"].tolist() == [0.91, 0.5, 1e7] * 2
    assert rows["seed"].unique().tolist() == ["3", "0.10"]
    assert rows["experiment"].unique().tolist() == names(tmp_path) == ["phantom"]


def test_a_run_is_known_by_arm_and_seed(tmp_path: Path) -> None:
    assert not has("phantom", "multitask", 3, tmp_path)
    append("phantom", run("multitask", 3, METRICS), tmp_path)
    assert has("phantom", "multitask", "3", tmp_path)
    assert not has("phantom", "multitask", 4, tmp_path)
    assert not has("phantom", "single", 3, tmp_path)
    assert not has("real", "multitask", 3, tmp_path)


def _write_one(folder: Path, seed: int) -> None:
    append("phantom", run("multitask", seed, METRICS), folder)


def test_processes_share_a_file(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        list(pool.map(_write_one, [tmp_path] * 40, range(40)))
    rows = read("phantom", tmp_path)
    assert len(rows) == 3 * 40
    assert (rows["seed"].to_numpy().reshape(40, 3) == rows["seed"].to_numpy()[::3, None]).all()  # runs are whole


def test_nothing_is_written_twice(tmp_path: Path) -> None:
    append("phantom", run("multitask", 3, METRICS), tmp_path)
    with pytest.raises(UserError, match=r"multitask 3 pneumonia auroc is there twice"):
        append("phantom", run("multitask", 3, METRICS), tmp_path)
    append("phantom", [Row("multitask", 3, FACTS, "images_per_s", 80.0)], tmp_path)  # a fact of the same run
    assert len(read("phantom", tmp_path)) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arm,seed\n", "expected experiment,arm,seed,head,metric,value"),
        (",".join(COLUMNS) + "\nphantom,multitask,3,lesion,dice,\n", "no finite number"),
        (",".join(COLUMNS) + "\nphantom,multitask,3,lesion,dice,.5", "not whole"),
        (",".join(COLUMNS) + "\n" + 2 * "phantom,multitask,3,lesion,dice,.5\n", "there twice"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "phantom.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        read("phantom", tmp_path)


def test_a_value_must_be_finite_and_a_name_a_file_s(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a finite number"):
        append("phantom", [Row("multitask", 3, "lesion", "dice", float("nan"))], tmp_path)
    with pytest.raises(UserError, match="expected small letters"):
        append("../phantom", [], tmp_path)
    assert names(tmp_path) == []
