import numpy as np
import pytest

from mtmed.data import store
from mtmed.errors import UserError
from mtmed.types import Study


def study(name, split="train", **targets):
    image = np.random.default_rng(len(name)).random((32, 32)).astype(np.float32)
    return Study(name, f"patient of {name}", "mammography", split, image, **targets)


FULL = study(
    "full",
    masks={"s": np.eye(32, dtype=bool)[None]},
    boxes={"d": (np.array([[1, 2, 3, 4.5]], np.float32), np.array([0]))},
    values={"c": np.array([True, False])},
    labelled={"s": np.array([True]), "d": np.array([True]), "c": np.array([True, False])},
    spacing_mm=(0.5, 0.25),
    view="CC",
    laterality="L",
)
BARE = study("bare", "test")


def test_what_is_written_is_read(tmp_path):
    store.write(tmp_path, [FULL, BARE])
    full, bare = store.read(tmp_path)
    np.testing.assert_allclose(full.image, FULL.image, atol=1 / 65535)
    assert full.image.dtype == np.float32
    assert (full.view, full.laterality, bare.view) == ("CC", "L", "")
    np.testing.assert_array_equal(full.masks["s"], FULL.masks["s"])
    np.testing.assert_array_equal(full.boxes["d"][0], FULL.boxes["d"][0])
    assert full.boxes["d"][1].dtype == np.int64
    np.testing.assert_array_equal(full.values["c"], [True, False])
    np.testing.assert_array_equal(full.labelled["c"], [True, False])
    assert full.spacing_mm == (0.5, 0.25)
    assert (dict(bare.masks), bare.boxes, bare.labelled, bare.spacing_mm) == ({}, {}, {}, None)
    assert "s" not in bare.masks


def test_one_split(tmp_path):
    store.write(tmp_path, [BARE, FULL])
    assert [s.study for s in store.read(tmp_path, "train")] == ["full"]
    np.testing.assert_allclose(store.read(tmp_path, "train")[0].image, FULL.image, atol=1 / 65535)


def test_digest_is_of_the_content(tmp_path):
    store.write(tmp_path / "a", [FULL, BARE])
    store.write(tmp_path / "b", [FULL, BARE])
    store.write(tmp_path / "c", [BARE, FULL])
    assert store.digest(tmp_path / "a") == store.digest(tmp_path / "b") != store.digest(tmp_path / "c")
    assert not list(tmp_path.rglob("*.part"))


def test_masks_of_some_studies_take_no_room_for_the_others(tmp_path):
    store.write(tmp_path / "one", [FULL])
    store.write(tmp_path / "many", [study(f"n{n}") for n in range(50)] + [FULL])
    one, many = (store.Shard(tmp_path / name / store.shard_name(0)) for name in ("one", "many"))
    assert one._file.get_slice("mask.s").get_shape() == many._file.get_slice("mask.s").get_shape() == [1, 1, 128]
    np.testing.assert_array_equal(store.read(tmp_path / "many")[-1].masks["s"], FULL.masks["s"])


def test_several_shards_are_one_sequence(tmp_path):
    store.write_shard(tmp_path / "a", [store.encode(BARE)])
    store.write_shard(tmp_path / "b", [store.encode(FULL), store.encode(BARE)])
    store.write_index(tmp_path, ["a", "b"])
    assert [s.study for s in store.read(tmp_path)] == ["bare", "full", "bare"]
    np.testing.assert_allclose(store.read(tmp_path)[1].image, FULL.image, atol=1 / 65535)


def test_the_digest_notices_a_change_of_the_same_length(tmp_path):
    store.write(tmp_path, [FULL])
    before = store.digest(tmp_path)
    (tmp_path / "note.csv").write_text("a")
    after = store.digest(tmp_path)
    (tmp_path / "note.csv").write_text("b")
    assert len({before, after, store.digest(tmp_path)}) == 3


@pytest.mark.parametrize("index", ["[]", '{"format": 1, "shards": []}'])
def test_samples_of_another_version(tmp_path, index):
    (tmp_path / "index.json").write_text(index)
    with pytest.raises(UserError, match="prepared by another version of MTMed: prepare it again"):
        store.read(tmp_path)


def test_nothing_stored(tmp_path):
    with pytest.raises(UserError, match=r"no prepared samples in .*oak: run"):
        store.read(tmp_path / "oak")
