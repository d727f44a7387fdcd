"""The trainer and the bare loop beside it train the same network on the same batches."""

import pytest
import torch

from benchmarks.trainer import WAYS, Bare, configured, feed, turns
from mtmed.training.local import Span, train
from tests import tiny


class Asked(list):
    """Studies that note which of them are asked for, in order."""

    def __init__(self, studies):
        super().__init__(studies)
        self.asked = []

    def __getitem__(self, number):
        self.asked.append(number)
        return super().__getitem__(number)


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_both_get_the_same_batches(sampling):
    """Over two epochs: the second one's order depends on every number that the first one drew."""
    one, other = (Asked(tiny.studies(5)) for _ in range(2))
    spec = tiny.training(steps=4, batch_size=3, augment=True, sampling=sampling)
    train(tiny.network(), one, spec, Span(0, 1), torch.Generator().manual_seed(7))
    given = list(feed(other, tiny.HEADS, spec, torch.Generator().manual_seed(7)))
    assert [len(batch.images) for batch in given] == [3, 2, 3, 2]
    assert one.asked == other.asked


def test_the_bare_loop_trains_every_head():
    net = tiny.network()
    spec = tiny.training(steps=2)
    Bare(net, spec).run(feed(tiny.studies(), tiny.HEADS, spec, tiny.seeds()))
    moved = tiny.differing(tiny.state(net), tiny.state(tiny.network()))
    assert {name.split(".")[1] for name in moved if name.startswith("heads.")} == {h.name for h in tiny.HEADS}


def test_every_way_has_a_speed_in_every_turn():
    config = configured("test_convnext", 64, 3, "float32")
    heads = {h.name: h for h in tiny.HEADS}
    found = turns(config.model_copy(update={"heads": heads}), tiny.studies(), steps=2, repeats=2)
    assert [set(turn) for turn in found] == [set(WAYS)] * 2
    assert all(speed > 0 for turn in found for speed in turn.values())
