"""Local training: the same bits every time, and nothing moves that no label reaches."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from mtmed.training import device
from mtmed.training.local import Span, rate, train
from tests import tiny

ONE_ROUND = Span(0, 1)
ALL = [True, True]


def trained(studies, name="site", encoder="test_convnext", **changes):
    net = tiny.network(encoder)
    losses = train(net, studies, tiny.training(**changes), ONE_ROUND, tiny.seeds(name))
    return tiny.state(net), losses


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("encoder", ["pvt_v2_b0", "test_convnext", "test_resnet", "test_vit"])
def test_training_again_gives_the_same_bits(encoder, precision, monkeypatch):
    monkeypatch.setattr(device, "_cpu_bfloat16", lambda: True)  # emulated where it is not there
    one, losses = trained(tiny.studies(), encoder=encoder, precision=precision)
    torch.rand(17)  # the global generator's state is of no account
    two, again = trained(tiny.studies(), encoder=encoder, precision=precision)
    assert not tiny.differing(one, two)
    assert losses == again
    assert tiny.differing(one, tiny.state(tiny.network(encoder)))


def test_another_seed_gives_other_bits():
    assert tiny.differing(trained(tiny.studies(), "a")[0], trained(tiny.studies(), "b")[0])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("encoder", ["pvt_v2_b0", "test_resnet"])
def test_sites_in_threads_give_the_bits_of_sites_in_turn(encoder, precision, monkeypatch):
    monkeypatch.setattr(device, "_cpu_bfloat16", lambda: True)  # emulated where it is not there
    tiny.network(encoder)
    sites = {name: tiny.studies(4, seed) for seed, name in enumerate(["alder", "birch", "cedar"])}

    def work(name):
        return trained(sites[name], name, encoder, precision=precision, epochs=1)[0]

    in_turn = {name: work(name) for name in sites}
    with ThreadPoolExecutor(3) as pool:
        at_once = dict(zip(sites, pool.map(work, sites), strict=True))
    for name in sites:
        assert not tiny.differing(in_turn[name], at_once[name])
    assert tiny.differing(in_turn["alder"], in_turn["birch"])


def test_training_leaves_the_global_generator_untouched():
    tiny.network("pvt_v2_b0")
    before = torch.get_rng_state()
    trained(tiny.studies(), encoder="pvt_v2_b0")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("encoder", ["test_convnext", "test_resnet"])  # the second has running statistics
def test_a_frozen_encoder_stays_to_the_bit_and_every_decoder_learns(encoder):
    after, _ = trained(tiny.studies(), encoder=encoder, weight_decay=0.5, freeze_encoder=True)
    moved = tiny.differing(after, tiny.state(tiny.network(encoder)))
    assert not {name for name in moved if name.startswith("encoder.")}
    assert {name.split(".")[1] for name in moved} == {h.name for h in tiny.HEADS}


@pytest.mark.parametrize("head", [h.name for h in tiny.HEADS])
def test_a_head_without_labels_does_not_move_at_all(head):
    labelled = {h.name: ALL for h in tiny.HEADS if h.name != head}
    after, losses = trained(tiny.studies(labelled=labelled), weight_decay=0.5)
    moved = tiny.differing(after, tiny.state(tiny.network()))
    assert not {name for name in moved if f"heads.{head}." in name}
    assert head not in losses
    for other in labelled:
        assert {name for name in moved if f"heads.{other}." in name}


def test_a_head_that_is_known_but_labelled_nowhere_does_not_move():
    labelled = {h.name: ALL for h in tiny.HEADS} | {"malignancy": [False, False]}
    after, losses = trained(tiny.studies(labelled=labelled), weight_decay=0.5)
    moved = tiny.differing(after, tiny.state(tiny.network()))
    assert not {name for name in moved if "heads.malignancy." in name}
    assert losses.keys() == {h.name for h in tiny.HEADS} - {"malignancy"}


def test_a_head_that_some_images_label_learns_from_those():
    some = [*tiny.studies(4, 0), *tiny.studies(1, 1, {"malignancy": ALL})]
    one, _ = trained(some)
    assert {n for n in tiny.differing(one, tiny.state(tiny.network())) if "heads.malignancy." in n}


ROWS = {
    "lesion_segmentation": "predictor",
    "malignancy": "predictor",
    "lesion_width": "predictor",
    "lesion_detection": "classifier.cls_logits",
}


@pytest.mark.parametrize(("head", "layer"), ROWS.items())
def test_class_rows_without_labels_do_not_move(head, layer):
    labelled = {h.name: ALL for h in tiny.HEADS} | {head: [True, False]}
    after, _ = trained(tiny.studies(labelled=labelled), weight_decay=0.5)
    before = tiny.state(tiny.network())
    for kind in ("weight", "bias"):
        name = f"heads.{head}.{layer}.{kind}"
        assert torch.equal(after[name][1], before[name][1])
        assert not torch.equal(after[name][0], before[name][0])


def test_without_any_label_nothing_moves():
    after, losses = trained(tiny.studies(labelled={}), weight_decay=0.5)
    assert not tiny.differing(after, tiny.state(tiny.network()))
    assert losses == {}


def test_weight_decay_reaches_matrices_only():
    plain, _ = trained(tiny.studies(), weight_decay=0)
    decayed, _ = trained(tiny.studies(), weight_decay=0.5, epochs=1, batch_size=99)
    once, _ = trained(tiny.studies(), weight_decay=0, epochs=1, batch_size=99)
    assert tiny.differing(plain, once)
    changed = tiny.differing(decayed, once)
    assert changed
    assert all(once[n].ndim > 1 and "predictor" not in n and "cls_logits" not in n for n in changed)


@pytest.mark.parametrize("encoder", ["pvt_v2_b0", "test_convnext"])
def test_the_loss_goes_down(encoder):
    net, spec = tiny.network(encoder), tiny.training(epochs=3, augment=False)
    first = train(net, tiny.studies(8), tiny.training(epochs=1, learning_rate=1e-9), ONE_ROUND, tiny.seeds())
    for step in range(3):
        last = train(net, tiny.studies(8), spec, Span(step, 6), tiny.seeds(step))
    for head, loss in first.items():
        assert last[head] < 0.95 * loss


def test_the_loss_reported_is_that_of_the_last_pass():
    net = tiny.network()
    spec = tiny.training(epochs=2, batch_size=99, augment=False)
    both = train(net, tiny.studies(), spec, ONE_ROUND, tiny.seeds())
    again = tiny.network()
    train(again, tiny.studies(), tiny.training(epochs=1, batch_size=99, augment=False), Span(0, 2), tiny.seeds())
    tiny_rate = tiny.training(epochs=1, batch_size=99, augment=False, learning_rate=1e-9)
    second = train(again, tiny.studies(), tiny_rate, ONE_ROUND, tiny.seeds())
    assert both == pytest.approx(second, rel=1e-3)


def test_the_weight_of_a_head_is_its_share_of_the_gradient():
    from dataclasses import replace

    from mtmed.models.multitask import build

    def moved(weight):
        heads = [replace(h, weight=weight) if h.name == "malignancy" else h for h in tiny.HEADS]
        net = build(tiny.architecture(heads=heads))
        spec = tiny.training(epochs=1, batch_size=99, clip_norm=1e9, augment=False)
        train(net, tiny.studies(), spec, ONE_ROUND, tiny.seeds())
        return {n: p.grad for n, p in net.named_parameters() if p.grad is not None}

    one, three = moved(1.0), moved(3.0)
    for name, gradient in one.items():
        if name.startswith("heads."):
            factor = 3 if name.startswith("heads.malignancy.") else 1
            torch.testing.assert_close(three[name], factor * gradient, rtol=1e-3, atol=1e-6)


def test_gradients_are_clipped():
    net = tiny.network()
    train(net, tiny.studies(), tiny.training(epochs=1, batch_size=99, clip_norm=1e-3), ONE_ROUND, tiny.seeds())
    squares = sum(float(p.grad.square().sum()) for p in net.parameters() if p.grad is not None)
    assert math.sqrt(squares) == pytest.approx(1e-3, rel=1e-2)


def test_the_rate_warms_up_and_falls_to_zero_with_the_last_round():
    spec = tiny.training(learning_rate=0.1, warmup_rounds=2)
    assert rate(spec, Span(0, 10), 0) == pytest.approx(0.1 * 0.05)
    assert rate(spec, Span(1, 10), 0) == pytest.approx(0.1 * 0.55 * 0.5 * (1 + math.cos(math.pi / 10)))
    assert rate(spec, Span(5, 10), 0) == pytest.approx(0.05)
    assert rate(spec, Span(9, 10), 1) == pytest.approx(0, abs=1e-12)
    assert rate(spec, Span(4, 10), 1) == pytest.approx(rate(spec, Span(5, 10), 0)), "no jump between rounds"
    steps = [rate(spec, Span(r, 10), p / 4) for r in range(10) for p in range(4)]
    top = steps.index(max(steps))
    assert steps[:top] == sorted(steps[:top])
    assert steps[top:] == sorted(steps[top:], reverse=True)


def test_without_warm_up_the_rate_starts_full():
    assert rate(tiny.training(learning_rate=0.1), Span(0, 10), 0) == pytest.approx(0.1)


def test_the_rate_reaches_the_optimizer():
    """The last round's last step is nearly still: it moves less than the first round's."""

    def step(span):
        net = tiny.network()
        train(net, tiny.studies(), tiny.training(epochs=1, batch_size=99, weight_decay=0), span, tiny.seeds())
        before = tiny.state(tiny.network())
        return max(float((v - before[n]).abs().max()) for n, v in tiny.state(net).items())

    assert step(Span(9, 10)) == pytest.approx(
        step(Span(0, 10)) * rate(tiny.training(), Span(9, 10), 0) / 3e-3, rel=0.05
    )
