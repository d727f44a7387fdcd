"""The trainer and the bare loop beside it train the same network on the same batches."""

import pytest
import torch

from benchmarks.trainer import WAYS, Bare, Between, configured, feed, turns
from mtmed.training import local
from tests import tiny


class Noted:
    """A loop that notes its batches."""

    def __init__(self):
        self.batches = []

    def step(self, batch):
        self.batches.append(batch)


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_before_each_of_the_trainers_steps_a_loop_gets_the_same_batch(sampling, monkeypatch):
    """Over two epochs: the second one's batches depend on every number that the first one drew."""
    loop, studies, trained = Noted(), tiny.studies(5), []
    spec = tiny.training(steps=4, batch_size=3, augment=True, sampling=sampling)
    plan = list(feed(studies, tiny.HEADS, spec, tiny.seeds()))
    whole = local._step

    def step(net, adam, batch, *more):
        trained.append((len(loop.batches), batch))
        return whole(net, adam, batch, *more)

    monkeypatch.setattr(local, "_step", step)
    between = Between(studies, plan, {loop: iter(plan)})
    local.train(tiny.network(), between, spec, local.Span(0, 1), tiny.seeds())
    assert [len(batch.images) for batch in plan] == [3, 2, 3, 2]
    assert [count for count, _ in trained] == [1, 2, 3, 4]
    for given, (_, own) in zip(loop.batches, trained, strict=True):
        assert given.studies == own.studies
        assert torch.equal(given.images, own.images)


def test_the_bare_loop_trains_every_head():
    net = tiny.network()
    spec = tiny.training(steps=2)
    loop = Bare(net, spec)
    for batch in feed(tiny.studies(), tiny.HEADS, spec, tiny.seeds()):
        loop.step(batch)
    moved = tiny.differing(tiny.state(net), tiny.state(tiny.network()))
    assert {name.split(".")[1] for name in moved if name.startswith("heads.")} == {h.name for h in tiny.HEADS}


def test_every_way_has_a_speed_in_every_turn():
    config = configured("test_convnext", 64, 3, "float32")
    heads = {h.name: h for h in tiny.HEADS}
    found = turns(config.model_copy(update={"heads": heads}), tiny.studies(), steps=2, repeats=2)
    assert [set(turn) for turn in found] == [set(WAYS)] * 2
    assert all(speed > 0 for turn in found for speed in turn.values())
