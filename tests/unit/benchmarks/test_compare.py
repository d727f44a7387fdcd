"""The comparison's arms: every model trains and is tested through the same interface, on the same patients."""

import numpy as np
import pytest
import torch

from benchmarks.compare import arms, cells, cost, films
from benchmarks.compare.arms import ARMS
from benchmarks.compare.films import Fold
from benchmarks.compare.train import labelled, train_and_test
from benchmarks.compare.variants import VARIANTS
from mtmed.config import parse
from mtmed.errors import UserError
from mtmed.types import Architecture, Study
from tests.tiny import HEADS, SEGMENTATION, SIZE, differing, state, studies, training

OUTSIDE = [name for name, arm in ARMS.items() if arm.body]
KINDS = {"smp-unet": 2, "smp-fpn": 2, "monai-unet": 1, "monai-unetr": 1, "monai-swinunetr": 1}


def architecture(heads=HEADS):
    return Architecture("test_convnext", 8, SIZE, tuple(heads))


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_outside_model_learns_the_heads_that_it_has(name):
    arm = arms.find(name)
    (heads,) = arm.models(HEADS)
    assert len(heads) == KINDS[name]
    found, net = train_and_test(arm, architecture(heads), training(steps=2), Fold(studies(8), [], studies(8)), "3")
    assert set(found) == {h.name for h in heads}
    assert 0 <= found[SEGMENTATION.name]["dice"] <= 1
    assert differing(state(arm.build(architecture(heads), 3)), state(net))


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_classes_of_all_heads_are_outputs_of_their_own(name):
    heads = [h for h in arms.find(name).models(HEADS)[0] if h.kind == "segmentation"]
    twice = [*heads, *(type(h)(f"{h.name}_b", h.kind, h.classes, h.modalities) for h in heads)]
    net = arms.find(name).build(architecture(twice), 0).eval()
    with torch.no_grad():
        outputs = net(torch.rand(2, 1, SIZE, SIZE), [h.name for h in twice])
    a, b = outputs.values()
    assert a.shape == b.shape == (2, 2, SIZE, SIZE)
    assert not torch.equal(a, b)


def test_models_for_each_head_and_one_for_all():
    assert ARMS["multitask"].models(HEADS) == [HEADS]
    assert ARMS["single"].models(HEADS) == [(h,) for h in HEADS]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_changes_what_is_learnt(variant):
    fold = Fold([s for n, s in enumerate(studies(8)) if n % 2] + masks_only(4), [], [])
    nets = [
        train_and_test(arms.find(name), architecture(), training(steps=2), fold, "0")[1]
        for name in ("multitask", f"multitask+{variant}")
    ]
    plain, changed = map(state, nets)
    assert plain.keys() != changed.keys() or differing(plain, changed)


def masks_only(count):
    """Studies with masks and no boxes."""
    return studies(count, seed=1, labelled={SEGMENTATION.name: [True, True]})


@pytest.mark.parametrize("name", ["multitusk", "multitask+focul"])
def test_an_unknown_arm_names_the_nearest(name):
    with pytest.raises(UserError, match="did you mean"):
        arms.find(name)


def test_settings_of_a_label():
    assert arms.settings("single@training.learning_rate=.001,model.channels=64") == {
        "training.learning_rate": ".001",
        "model.channels": "64",
    }
    assert arms.labelled("single@a=1", {"b": "2"}) == "single@b=2"
    assert cost.costed("single-whole@training.learning_rate=.1") == "single"
    assert cost.costed("multitask+focal@model.channels=64,training.epochs=3") == "multitask@model.channels=64"


def test_a_cell_is_its_name():
    cell = cells.find("phantom-masks-25-tuning")
    assert (cell.data, cell.masks, cell.tuning) == ("phantom", 25, True)
    assert not set(cell.seeds) & set(cells.find("phantom").seeds)
    assert cells.find("real").config({"training.learning_rate": ".01"}).training.learning_rate == 0.01
    full = cells.find("full")
    assert (full.config({}).image.size, full.tuning_experiment, full.seconds) == (192, "phantom-tuning", 1000)
    assert not set(full.seeds) & {*cells.find("phantom").seeds, *cells.find("phantom-tuning").seeds}
    with pytest.raises(UserError, match="expected phantom, full or real"):
        cells.find("phantoms")


def test_films_are_not_part_of_the_project():
    with pytest.raises(UserError, match="--data"):
        cells.find("real").fold("0.0", None)


def test_a_cell_of_fewer_masks_takes_masks_of_whole_patients_and_nothing_else():
    found = studies(60)
    kept = cells.find("phantom-masks-25")._thinned(found, "0")
    with_masks = [s for s in kept if SEGMENTATION.name in s.labelled]
    assert 5 <= len(with_masks) <= 25
    assert all(set(s.labelled) == {h.name for h in HEADS} - {SEGMENTATION.name} for s in kept if s not in with_masks)
    assert all(k.boxes == s.boxes for k, s in zip(kept, found, strict=True))
    assert cells.find("phantom-masks-25").changed([(h,) for h in HEADS]) == [(SEGMENTATION,)]


def test_every_patient_is_tested_once_and_never_trains_in_that_fold():
    found = [Study(f"s{n}", f"p{n // 2}", "chest_xray", "", np.zeros((4, 4), np.float32)) for n in range(80)]
    folds = [films.fold(found, 0, number) for number in range(films.FOLDS)]
    assert sorted(s.study for f in folds for s in f.test) == sorted(s.study for s in found)
    for f in folds:
        patients = [{s.patient for s in part} for part in (f.train, f.validation, f.test)]
        assert sum(map(len, patients)) == len(set.union(*patients)) == 40


def test_only_labelled_studies_take_time():
    known, unknown = studies(2), studies(2, seed=1, labelled={})
    assert [s.study for s in labelled([*unknown, *known], HEADS)] == [s.study for s in known]


def test_the_configurations_are_whole():
    for name in ("phantom", "real"):
        settings = cells.find(name).config({})
        assert settings.training.batch_size == 16
        assert len(settings.heads) == {"phantom": 5, "real": 4}[name]
    assert parse(films.raw()).sites.keys() == {"nih", "hannover", "radiopaedia", "eurorad", "opacity"}


def test_steps_fill_the_time():
    cell, arm = cells.find("phantom"), arms.find("multitask")
    heads = tuple(cell.config({}).heads.values())
    rate = cost.facts(cell, "multitask")["images_per_s"]
    assert cost.steps(cell, arm, "multitask", heads, 16) == round(cell.seconds * rate / 16)
    single = arms.find("single")
    shared, whole = (cost.steps(cell, a, "single", heads[:1], 16) for a in (single, arms.find("single-whole")))
    assert whole == pytest.approx(5 * shared, abs=3)
    with pytest.raises(UserError, match=r"compare cost phantom --arms 'multitask@model\.encoder=x'"):
        cost.facts(cell, "multitask@model.encoder=x")
