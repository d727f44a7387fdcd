"""The benchmark of strategies: cells by name, arms by label, and rounds that are the product's own."""

import pytest
import torch

from benchmarks.federate import cells
from benchmarks.federate.one import changes
from benchmarks.federate.simulate import alone, federate, measured, owners
from mtmed.config import parse
from mtmed.errors import UserError
from mtmed.registry import names
from tests import tiny

SITES = {"alder": tiny.studies(6, 1), "birch": tiny.studies(6, 2, {"malignancy": [True, True]})}
TEST = {"alder": tiny.studies(4, 3), "birch": tiny.studies(4, 4)}


def config(strategy="bayes", **strategies):
    modalities = names("mtmed.modalities")
    return parse(
        {
            "sites": {name: {"dataset": "manifest", "raw": "x"} for name in SITES},
            "heads": {h.name: {"kind": h.kind, "classes": h.classes, "modalities": modalities} for h in tiny.HEADS},
            "image": {"size": tiny.SIZE},
            "model": {"encoder": "test_convnext", "channels": 8},
            "training": tiny.training(epochs=1).model_dump(),
            "federation": {"strategy": strategy, "rounds": 2},
            "strategies": strategies,
        }
    )


def test_a_label_says_what_changes():
    assert changes("bayes@alpha=0.1,training.average=0.5") == {
        "federation.strategy": "bayes",
        "strategies.bayes.alpha": "0.1",
        "training.average": "0.5",
    }
    assert changes("pooled@training.learning_rate=.002") == {"training.learning_rate": ".002"}
    found = cells.find("fed").config(changes("mine@merge=bayes,correction=prior,alpha=0.3"), "3")
    assert (found.strategy.merge.alpha, found.federation.seed) == (0.3, 3)
    assert type(found.strategy.correction).__module__.endswith("prior")


def test_every_cell_changes_the_base():
    for cell in cells.CELLS.values():
        found = cell.config({}, "0")
        assert len(found.sites) == 4 * cell.copies
        assert found.training.epochs == cell.epochs
    assert not set(cells.find("fed").seeds) & set(cells.find("fed-tuning").seeds)
    assert cells.find("fed-labels-tuning").complete
    with pytest.raises(UserError, match=r"unknown cell 'fedd': .*did you mean 'fed'"):
        cells.find("fedd")


def test_sites_of_a_hospital_differ_in_their_scanners():
    found = cells.find("fed-sites-16").config({}, "0").phantom
    assert len({(h.noise, h.blur) for name, h in found.items() if name.startswith("alder")}) == 4


@pytest.mark.parametrize("strategy", ["bayes", "mine"])
def test_rounds_are_the_products_own_and_repeatable(strategy):
    settings = config(strategy, mine={"merge": "labels", "correction": "prior", "server": "momentum"})
    seen = []
    net = federate(settings, SITES, lambda round, model: seen.append((round, tiny.state(model))))
    again = federate(settings, SITES, lambda round, model: None)  # noqa: ARG005
    assert [round for round, _ in seen] == [1, 2]
    assert not tiny.differing(seen[1][1], tiny.state(net))
    assert not tiny.differing(tiny.state(net), tiny.state(again))
    assert tiny.differing(seen[0][1], seen[1][1])


def test_metrics_are_means_over_sites_with_the_worst():
    heads = [h.name for h in tiny.HEADS]
    net = alone(config(), SITES["alder"], "alder")
    everywhere = measured(dict.fromkeys(SITES, net), TEST, None)
    found = everywhere["malignancy"]
    assert found["auroc"] == pytest.approx((found["auroc.alder"] + found["auroc.birch"]) / 2)
    assert found["auroc.worst"] == min(found["auroc.alder"], found["auroc.birch"])
    width = everywhere["lesion_width"]
    assert width["mae.worst"] == max(width["mae.alder"], width["mae.birch"])
    own = owners(SITES, heads)
    assert own == {h: {"alder", "birch"} if h == "malignancy" else {"alder"} for h in heads}
    assert "dice.birch" not in measured(dict.fromkeys(SITES, net), TEST, own)["lesion_segmentation"]
    assert torch.is_grad_enabled()
