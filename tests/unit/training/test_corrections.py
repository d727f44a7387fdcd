"""What is added to a site's gradients, and the mean of its iterates."""

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from mtmed.errors import UserError
from mtmed.registry import find
from mtmed.training.corrections._base import Others, Reference, others
from mtmed.training.local import Span, train
from mtmed.types import GlobalModel, SiteUpdate
from tests import tiny

SEGMENTATION = tiny.SEGMENTATION.name


def correction(name, **options):
    return find("mtmed.training.corrections", name, "correction").Correction(**options)


def moved(net, by=0.5):
    """Where the network was before all its parameters went on by so much."""
    start = {n: p.detach().clone() for n, p in net.named_parameters()}
    with torch.no_grad():
        for p in net.parameters():
            p += by
    return start


def gradients(net, hook, some=()):
    """After the hook, where each gradient was 1; `some` are names without one."""
    for name, p in net.named_parameters():
        p.grad = None if name in some else torch.ones_like(p)
    hook()
    return {n: p.grad for n, p in net.named_parameters()}


def trained(reference_of=None, name="nothing", spec=None, **options):
    """One round on studies with all labels, with a correction."""
    net = tiny.network()
    reference = Reference(tiny.state(net), 6, Others(reference_of(net) if reference_of else {}))
    start = tiny.state(net)
    hook = correction(name, **options).hook(net, reference)
    train(net, tiny.studies(), tiny.training(**(spec or {})), Span(0, 1), tiny.seeds("x"), None, hook)
    return start, tiny.state(net)


def distance(one, two, part=""):
    return float(sum((one[n] - two[n]).double().square().sum() for n in one if n.startswith(part)))


def test_prox_by_hand():
    net = tiny.network()
    start = moved(net)
    lone = next(iter(start))
    found = gradients(net, correction("prox", mu=0.2).hook(net, Reference(start)), [lone])
    assert found.pop(lone) is None, "what no label reached is left alone"
    for value in found.values():
        torch.testing.assert_close(value, torch.full_like(value, 1.1))


def test_a_prior_by_hand_up_to_its_cap():
    net = tiny.network()
    start = moved(net)
    sure, surer, unknown = list(start)[:3]
    others = {sure: torch.full_like(start[sure], 30.0), surer: torch.full_like(start[surer], 1e9)}
    hook = correction("prior", strength=0.1, cap=4.0).hook(net, Reference(start, 10, Others(others)))
    found = gradients(net, hook)
    torch.testing.assert_close(found[sure], torch.full_like(found[sure], 1 + 0.3 * 0.5))
    torch.testing.assert_close(found[surer], torch.full_like(found[surer], 1 + 4 * 0.5))
    assert (found[unknown] == 1).all()


def test_scaffold_by_hand():
    net = tiny.network()
    start = moved(net)
    lone, steered, new = list(start)[:3]
    drift = {n: torch.full_like(start[n], 0.25) for n in start if n != new}
    hook = correction("scaffold").hook(net, Reference(start, 6, Others(drift=drift)))
    for _ in range(2):
        found = gradients(net, hook, [lone])
    assert found[lone] is None
    torch.testing.assert_close(found[steered], torch.full_like(found[steered], 1.25))
    assert (found[new] == 1).all()
    told = hook.gradient()
    assert lone not in told
    assert all((value == 1).all() for value in told.values()), "the mean of the gradients as they were"


def test_the_others_are_everybody_less_the_site_itself():
    def parts(value):
        return {"a": torch.full((2,), value), "b": torch.full((2,), value)}

    model = GlobalModel(1, {}, precision=parts(5.0), gradient=parts(1.0))
    own = SiteUpdate("x", 0, {}, {"a": torch.full((2,), 3.0)}, {}, 1, gradient={"a": torch.full((2,), 0.25)})
    found = others(model, own)
    assert found.precision["a"].tolist() == [2, 2]
    assert found.precision["b"].tolist() == [5, 5]
    assert {n: v.tolist() for n, v in found.drift.items()} == {"a": [0.75, 0.75]}
    absent = others(model, None)
    assert absent.precision["a"].tolist() == [5, 5]
    assert not absent.drift, "who took no part has no drift of its own to take off"


def test_without_a_drift_scaffold_changes_no_bit():
    assert not tiny.differing(trained()[1], trained(name="scaffold")[1])


def test_what_is_held_goes_less_far():
    start, free = trained()
    _, held = trained(name="prox", mu=100.0)
    assert distance(start, held, "encoder") < 0.5 * distance(start, free, "encoder")


def test_a_prior_holds_what_others_know_and_nothing_else():
    def masks(net):
        return {n: torch.full_like(p, 1e6) for n, p in net.named_parameters() if n.startswith(f"heads.{SEGMENTATION}")}

    start, free = trained()
    _, held = trained(masks, "prior", strength=1.0, cap=100.0)
    part = f"heads.{SEGMENTATION}"
    assert distance(start, held, part) < 0.5 * distance(start, free, part)
    assert distance(start, held, "encoder") > 0.5 * distance(start, free, "encoder")


def test_a_prior_of_nobody_changes_no_bit():
    assert not tiny.differing(trained()[1], trained(lambda _: {}, "prior")[1])


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_mean_of_the_iterates(share, monkeypatch):
    seen = []
    plain = AveragedModel.update_parameters
    monkeypatch.setattr(
        AveragedModel,
        "update_parameters",
        lambda self, model: seen.append(tiny.state(model)) or plain(self, model),
    )
    _, found = trained(spec={"average": share, "steps": 6})
    assert len(seen) == 6 - 6 * share
    for name, value in found.items():
        torch.testing.assert_close(value, torch.stack([s[name] for s in seen]).mean(0), rtol=1e-4, atol=1e-6)


def test_without_an_average_the_last_weights_leave():
    assert not tiny.differing(trained()[1], trained(spec={"average": 1.0})[1])
    assert tiny.differing(trained()[1], trained(spec={"average": 0.5})[1])


@pytest.mark.parametrize("steps", [1, 2])
def test_the_mean_of_few_steps_has_the_last_one(steps):
    spec = {"steps": steps, "average": 0.75}
    assert not tiny.differing(trained(spec=spec)[1], trained(spec=spec | {"average": 1.0})[1])


def test_the_mean_leaves_a_head_without_labels_alone():
    net = tiny.network()
    before = tiny.state(net)
    some = tiny.studies(labelled={"malignancy": [True, True]})
    train(net, some, tiny.training(average=0.0), Span(0, 1), tiny.seeds("x"))
    assert not [n for n in tiny.differing(before, tiny.state(net)) if SEGMENTATION in n]


@pytest.mark.parametrize(("name", "option"), [("prox", "mu"), ("prior", "strength"), ("prior", "cap")])
def test_options_are_checked(name, option):
    with pytest.raises(UserError, match=f"{option}: expected a number from 0 up, got -1"):
        correction(name, **{option: -1})
