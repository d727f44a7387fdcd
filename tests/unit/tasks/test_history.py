"""The tables of a federation, from the records of its rounds."""

import pandas as pd
import pytest

from tasks import history


def answer(site, spans, **metrics):
    labelled = {"masks": 3 if site == "alder" else 0}
    return {
        "site": site,
        "metrics": metrics,
        "labelled": labelled,
        "sent": 10,
        "received": 20,
        "spans": spans,
    }


LOSS = {"train/masks": 0.5}
RECORDS = [
    {
        "round": 0,
        "sites": [
            answer("alder", [("exchange", 0, 1), ("state", 1, 2), ("train", 2, 4), ("fisher", 4, 5)], **LOSS),
            answer("birch", [("exchange", 2, 3), ("train", 3, 7), ("exchange", 7, 9)]),
        ],
        "aggregate": {
            "span": ("aggregation", 9.0, 9.5),
            "contributions": {
                "encoder": {"alder": 0.6, "birch": 0.4},
                "masks": {"alder": 1.0, "birch": 0.0},
            },
            "refused": {},
        },
        "wall": 10.0,
    },
    {
        "round": 1,
        "sites": [answer("alder", [("validate", 20, 21)], **{"train/masks": 0.25})],
        "aggregate": {"span": ("aggregation", 21.0, 21.5), "contributions": {}, "refused": {"birch": "it is late"}},
        "wall": 2.0,
    },
]


def test_seconds_add_up_to_the_wall():
    # the first is tracked beside the second round's work for 1 of its 1.5 seconds, the second after it
    tracking = [("tracking", 19.5, 21), ("tracking", 22, 22.25)]
    found = history.seconds(RECORDS, tracking, tail=1.0)
    assert found == {
        "local work": 5 + 1,  # 2..7 in round 0, 20..21 in round 1
        "site set-up": 1,  # 1..2
        "exchange": 1 + 2,  # 0..1 and 7..9: where nobody does anything else
        "aggregation": 1.0,
        "tracking": 0.5 + 0.25,
        "orchestration": 12 + 1 - 11.75,
    }
    assert sum(found.values()) == 13
    assert history.seconds([], [], 0.0) == dict.fromkeys(found, 0)


def test_clocks_that_disagree_leave_no_negative_rest():
    assert history.seconds([RECORDS[0] | {"wall": 1.0}], [], 0.0)["orchestration"] == 0


def test_tables(tmp_path):
    history.write(tmp_path, RECORDS, [], 0.5)
    tables = {p.name: pd.read_csv(p) for p in tmp_path.iterdir()}
    assert sorted(tables) == ["bytes.csv", "contributions.csv", "refused.csv", "rounds.csv", "seconds.csv"]
    assert tables["rounds.csv"].values.tolist() == [
        [0, "alder", "train/masks", 0.5],
        [1, "alder", "train/masks", 0.25],
    ]
    assert tables["contributions.csv"].values.tolist() == [
        [0, "alder", "masks", 3, 1.0],
        [0, "birch", "masks", 0, 0.0],
    ]
    assert tables["refused.csv"].values.tolist() == [[1, "birch", "it is late"]]
    assert tables["bytes.csv"].values.tolist() == [
        [0, "alder", 10, 20],
        [0, "birch", 10, 20],
        [1, "alder", 10, 20],
    ]
    assert tables["seconds.csv"].set_index("stage")["seconds"].to_dict() == pytest.approx(
        history.seconds(RECORDS, [], 0.5)
    )


def test_tables_of_nothing_have_their_columns(tmp_path):
    history.write(tmp_path, [], [], 0.0)
    assert (tmp_path / "contributions.csv").read_text() == "round,site,head,labelled,share\n"
    assert (tmp_path / "rounds.csv").read_text() == "round,site,name,value\n"
