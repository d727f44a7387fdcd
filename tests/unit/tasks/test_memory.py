"""The optimiser's moments that a site keeps: a round that is repeated starts where it started before."""

import torch

from mtmed.training import optimizer
from mtmed.training.local import Span, train
from tasks.memory import Memory
from tests import tiny


def after_a_round(kept):
    net = tiny.network()
    spec = tiny.training(epochs=1)
    train(net, tiny.studies(), spec, Span(0, 2), tiny.seeds("first"), kept)
    return net


def test_a_repeated_round_reads_what_it_read_before(tmp_path):
    memory = Memory(tmp_path, "run")
    assert memory.read(0) == {}
    kept = memory.read(0)
    after_a_round(kept)
    memory.write(0, kept)
    first = memory.read(1)
    assert first.keys() == kept.keys()
    assert all(torch.equal(first[name], kept[name]) for name in kept)
    memory.write(1, {name: value + 1 for name, value in first.items()})
    again = memory.read(1)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_two_rounds_are_kept_and_no_more(tmp_path):
    memory = Memory(tmp_path, "run")
    for round in range(5):
        memory.write(round, {"a/step": torch.tensor(float(round))})
    assert sorted(p.name for p in tmp_path.rglob("*.safetensors")) == ["003.safetensors", "004.safetensors"]


def test_one_federation_is_forgotten_and_no_other(tmp_path):
    one, other = Memory(tmp_path, "one"), Memory(tmp_path, "other")
    for memory in (one, other):
        memory.write(0, {"a/step": torch.tensor(1.0)})
    one.forget()
    assert not list(tmp_path.rglob("one/*"))
    assert (one.read(1), list(other.read(1))) == ({}, ["a/step"])
    one.forget()


def test_moments_go_on_where_they_stopped():
    """AdamW fed the same gradients steps alike, whether it went on or was restored."""
    one, other = tiny.network(), tiny.network()
    adams = [optimizer.build(net, tiny.studies(), tiny.training()) for net in (one, other)]

    def step(net, adam, value):
        for parameter in net.parameters():
            parameter.grad = torch.full_like(parameter, value)
        adam.step()

    for net, adam in zip((one, other), adams, strict=True):
        step(net, adam, 1.0)
    fresh = optimizer.build(other, tiny.studies(), tiny.training())
    optimizer.restore(fresh, other, optimizer.moments(adams[1], other))
    step(one, adams[0], -3.0)
    step(other, fresh, -3.0)
    assert not tiny.differing(tiny.state(one), tiny.state(other))


def test_what_is_kept_changes_the_next_round():
    kept: optimizer.Moments = {}
    net = after_a_round(kept)
    twin = tiny.network()
    twin.load_state_dict(net.state_dict())
    spec = tiny.training(epochs=1)
    train(net, tiny.studies(), spec, Span(1, 2), tiny.seeds("second"), kept)
    train(twin, tiny.studies(), spec, Span(1, 2), tiny.seeds("second"))
    assert tiny.differing(tiny.state(net), tiny.state(twin))


def test_heads_without_a_label_have_no_moments():
    kept: optimizer.Moments = {}
    studies = tiny.studies(labelled={"malignancy": [True, True]})
    train(tiny.network(), studies, tiny.training(epochs=1), Span(0, 1), tiny.seeds(), kept)
    assert any(name.startswith("heads.malignancy.") for name in kept)
    assert not any(name.startswith("heads.lesion") for name in kept)
