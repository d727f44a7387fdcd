from pathlib import Path

import pytest

from benchmarks.result_rows import Row, append, read
from benchmarks.tuning import arms, chosen, scores, values
from mtmed.errors import UserError

NAME = "phantom-tuning"


def _write(folder: Path, tried: dict[str, dict[str, tuple[str, list[float]]]]) -> None:
    rows = [
        Row(arm, seed, head, metric, value)
        for arm, heads in tried.items()
        for head, (metric, found) in heads.items()
        for seed, value in enumerate(found)
    ]
    append(NAME, rows, folder)


def test_the_best_mean_over_heads_and_seeds(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "multitask@rate=0.001": {"lesion": ("dice", [0.5, 0.5]), "pneumonia": ("auroc", [0.8, 0.9])},
            "multitask@rate=0.003": {"lesion": ("dice", [0.7, 0.6]), "pneumonia": ("auroc", [0.7, 0.9])},
            "single@rate=0.01": {"lesion": ("dice", [0.9, 0.9]), "pneumonia": ("auroc", [0.9, 0.9])},
        },
    )
    assert chosen(NAME, "multitask", folder=tmp_path) == {"rate": "0.003"}
    assert chosen(NAME, "multitask", by="pneumonia", folder=tmp_path) == {"rate": "0.001"}
    assert chosen(NAME, "single", folder=tmp_path) == {"rate": "0.01"}
    assert scores(read(NAME, tmp_path), "multitask")["score"].tolist() == pytest.approx([0.675, 0.725])
    assert arms(read(NAME, tmp_path)) == ["multitask", "single"]


def test_an_error_counts_by_the_smallest_of_its_seed(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "a@rate=1,steps=5": {"size": ("mae", [2.0, 6.0]), "lesion": ("dice", [0.5, 0.5])},
            "a@rate=2,steps=5": {"size": ("mae", [4.0, 3.0]), "lesion": ("dice", [0.51, 0.51])},
            "a@rate=3,steps=5": {"size": ("mae", [2.0, 3.0]), "lesion": ("dice", [0.4, 0.4])},
        },
    )
    rows = read(NAME, tmp_path)
    assert scores(rows, "a")["size"].tolist() == pytest.approx([0.75, 0.75, 1.0])
    assert values(rows, "a")["size", "mae"].tolist() == pytest.approx([4, 3.5, 2.5])
    assert chosen(NAME, "a", folder=tmp_path) == {"rate": "3", "steps": "5"}


def test_what_diverged_counts_as_nothing(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "a@rate=1": {"lesion": ("dice", [0.4, 0.4]), "size": ("mae", [9.0, 9.0]), "-": ("steps", [5, 5])},
            "a@rate=9": {"lesion": ("dice", [0.7]), "size": ("mae", [1.0]), "-": ("steps", [5, 5])},
        },
    )
    found = scores(read(NAME, tmp_path), "a")
    assert found["lesion"].tolist() == pytest.approx([0.4, 0.35])
    assert found["size"].tolist() == pytest.approx([(1 / 9 + 1) / 2, 0.5])
    assert chosen(NAME, "a", folder=tmp_path) == {"rate": "1"}


def test_what_was_given_up_does_not_compete(tmp_path: Path) -> None:
    lucky = {"a@rate=1": {"lesion": ("dice", [0.4, 0.5])}, "a@rate=9": {"lesion": ("dice", [0.7])}}
    _write(tmp_path, lucky)
    assert chosen(NAME, "a", folder=tmp_path) == {"rate": "1"}
    assert values(read(NAME, tmp_path), "a")["lesion", "dice"].tolist() == pytest.approx([0.45, 0.7])
    append(NAME, [Row("a@rate=9", 1, "lesion", "dice", 0.6)], tmp_path)
    assert chosen(NAME, "a", folder=tmp_path) == {"rate": "9"}


def test_without_rows_nothing_is_chosen(tmp_path: Path) -> None:
    said = "no tuning of single; expected arms such as single@rate=0.001, all at the same seeds"
    with pytest.raises(UserError, match=said):
        chosen(NAME, "single", folder=tmp_path)
    append(NAME, [Row("single@rate=1", 0, "l", "dice", 0.6), Row("single@rate=2", 1, "l", "dice", 0.6)], tmp_path)
    with pytest.raises(UserError, match=said):
        chosen(NAME, "single", folder=tmp_path)


def test_a_head_must_be_known(tmp_path: Path) -> None:
    _write(tmp_path, {"a@rate=1": {"lesion": ("dice", [0.4])}})
    with pytest.raises(UserError, match=r"unknown head 'lesions'.*did you mean 'lesion'"):
        chosen(NAME, "a", by="lesions", folder=tmp_path)
