"""The benchmark of strategies: cells by name, arms by label, and rounds that are the product's own."""

import pytest
import torch

from benchmarks.federate import cells
from benchmarks.federate.attacks import ATTACKER, flipped, scaled
from benchmarks.federate.one import changes
from benchmarks.federate.simulate import alone, ensembles, federate, measured, own_seed, owners, traffic
from mtmed.config import parse
from mtmed.errors import UserError
from mtmed.models.multitask import build
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
    for cell in (cell for cell in cells.CELLS.values() if not cell.films):
        found = cell.config({}, "0")
        assert len(found.sites) == 4 * cell.copies + bool(cell.fifth)
        assert found.training.epochs == cell.epochs
    assert not set(cells.find("fed").seeds) & set(cells.find("fed-tuning").seeds)
    assert cells.find("fed-labels-tuning").complete
    assert cells.find("fed-full").config({}, "30").image.size == 2 * cells.find("fed").config({}, "20").image.size
    assert not set(cells.find("fed-full").seeds) & {*cells.find("fed").seeds, *cells.find("fed-tuning").seeds}
    with pytest.raises(UserError, match=r"unknown cell 'fedd': .*did you mean 'fed'"):
        cells.find("fedd")


def test_real_films_are_sites_by_source():
    cell = cells.find("fed-films")
    found = cell.config({"federation.strategy": "label_aware"}, "1.4")
    assert sorted(found.sites) == ["eurorad", "hannover", "nih", "opacity", "radiopaedia"]
    assert (found.training.steps, found.federation.seed) == (32, 14)
    assert found.strategies["bayes"] == cells.find("fed").config({}, "0").strategies["bayes"]
    assert not set(cell.seeds) & set(cells.find("fed-films-tuning").seeds)
    with pytest.raises(UserError, match="name their folder with --data"):
        cell.sites(found, "1.4", None)


def test_sites_of_a_hospital_differ_in_their_scanners():
    found = cells.find("fed-sites-16").config({}, "0").phantom
    assert len({(h.noise, h.blur) for name, h in found.items() if name.startswith("alder")}) == 4


@pytest.mark.parametrize("strategy", ["bayes", "mine", "fedbn"])
def test_rounds_are_the_products_own_and_repeatable(strategy):
    mine = {"merge": "labels", "correction": "prior", "server": "momentum", "order": "relay"}
    settings = config(strategy, mine=mine)
    seen, again = [], []
    records = federate(settings, SITES, lambda round, models: seen.append((round, states(models))))
    federate(settings, SITES, lambda round, models: again.append((round, states(models))))
    assert [round for round, _ in seen] == [1, 2]
    for (_, one), (_, other) in zip(seen, again, strict=True):
        assert not [site for site in SITES if tiny.differing(one[site], other[site])]
    assert tiny.differing(seen[0][1]["alder"], seen[1][1]["alder"])
    assert bool(tiny.differing(seen[1][1]["alder"], seen[1][1]["birch"])) == (strategy == "fedbn")
    bytes_of = traffic(records)
    assert min(bytes_of.values()) > 4 * sum(v.numel() for v in seen[0][1]["alder"].values())


def test_sites_apart_start_from_networks_of_their_own():
    one_step = {"training": tiny.training(steps=1, learning_rate=1e-6).model_dump(), "federation": {"rounds": 1}}
    found = {}
    for alignment in ("nothing", "l2"):
        raw = config("mine", mine={"merge": "labels", "alignment": alignment}).model_dump(mode="json")
        settings = parse(raw | one_step | {"federation": raw["federation"] | one_step["federation"]})
        federate(settings, SITES, lambda _, models, a=alignment: found.update({a: states(models)["alder"]}), apart=True)
    own = [tiny.state(build(settings.architecture, own_seed(settings, site))) for site in SITES]
    name = next(name for name, value in own[0].items() if value.ndim > 1 and name.startswith("encoder"))
    assert tiny.differing(*own)
    mean = (own[0][name] + own[1][name]) / 2
    assert torch.allclose(found["nothing"][name], mean, atol=1e-4), "of as many studies at each site"
    assert tiny.differing(found["nothing"], found["l2"])


def states(models):
    return {site: tiny.state(net) for site, net in models.items()}


def test_metrics_are_means_over_the_sites_that_have_labels_with_the_worst():
    net = alone(config(), SITES["alder"], "alder")
    own = owners(SITES, config())
    assert own == {h.name: {"alder", "birch"} if h.name == "malignancy" else {"alder"} for h in tiny.HEADS}
    everywhere = measured(dict.fromkeys(SITES, net), TEST, own)
    found = everywhere["malignancy"]
    assert found["auroc"] == pytest.approx((found["auroc.alder"] + found["auroc.birch"]) / 2)
    assert found["auroc.worst"] == min(found["auroc.alder"], found["auroc.birch"])
    width = measured(dict.fromkeys(SITES, net), TEST, {head: {"alder", "birch"} for head in own})["lesion_width"]
    assert width["mae.worst"] == max(width["mae.alder"], width["mae.birch"])
    masks = everywhere["lesion_segmentation"]
    assert masks["dice"] == masks["dice.alder"]
    assert "dice.birch" in masks, "a site without masks has test patients with masks all the same"
    assert torch.is_grad_enabled()


def test_the_ensemble_asks_those_who_know():
    nets = {site: alone(config(), studies, site) for site, studies in SITES.items()}
    found = ensembles(nets, owners(SITES, config()))["alder"]
    assert [sorted(member.heads) for member in found.members] == [sorted(h.name for h in tiny.HEADS), ["malignancy"]]
    assert measured(ensembles(nets, owners(SITES, config())), TEST, owners(SITES, config()))["malignancy"]


def test_wrong_labels_are_wrong_in_every_head():
    for study, wrong in zip(SITES["alder"], flipped(SITES["alder"]), strict=True):
        assert (wrong.masks["lesion_segmentation"] == ~study.masks["lesion_segmentation"]).all()
        assert (wrong.values["malignancy"] + study.values["malignancy"] == 1).all()
        there, back = study.boxes["lesion_detection"][0], flipped([wrong])[0].boxes["lesion_detection"][0]
        assert (there == back).all()
        assert (wrong.image == study.image).all()


def test_a_forged_update_is_refused_where_there_are_enough_sites_to_tell():
    sites = dict.fromkeys(("alder", "birch", "cedar", ATTACKER), SITES["alder"])
    settings = parse(
        config("label_aware").model_dump(mode="json")
        | {"sites": {name: {"dataset": "manifest", "raw": "x"} for name in sites}}
    )
    records = federate(settings, sites, lambda round, models: None, scaled(10.0))  # noqa: ARG005
    assert [list(r["aggregate"]["refused"]) for r in records] == [[ATTACKER], [ATTACKER]]
