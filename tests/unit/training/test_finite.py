"""NaN and infinity stop a training before the weights move, and say whose they were, but not in words."""

import traceback
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from mtmed.errors import NotFinite
from mtmed.models.multitask import build
from mtmed.training import finite, fisher
from mtmed.training.local import Span, train
from mtmed.training.observe import observe
from tests import tiny

NAN, INF = float("nan"), float("inf")
LAST = {
    "lesion_segmentation": "predictor.bias",
    "lesion_detection": "classifier.cls_logits.bias",
    "malignancy": "predictor.bias",
    "lesion_width": "predictor.bias",
}


def spoilt(studies, number, value=NAN):
    """The studies, one of them with a bad pixel."""
    image = studies[number].image.copy()
    image[3, 4] = value
    return [replace(s, image=image) if n == number else s for n, s in enumerate(studies)]


def unmeasured(studies, number):
    """The studies, one of them with a measurement that is labelled and no number."""
    values = {**studies[number].values, "lesion_width": np.array([NAN, 1], np.float32)}
    return [replace(s, values=values) if n == number else s for n, s in enumerate(studies)]


def stopped(net, studies, kept=None, **changes):
    with pytest.raises(NotFinite) as error:
        train(net, studies, tiny.training(**changes), Span(0, 1), tiny.seeds(), kept)
    return error.value


@contextmanager
def snapshots(net):
    """The network's state after every step of an optimiser."""
    found = []
    handle = register_optimizer_step_post_hook(lambda *_: found.append(tiny.state(net)))
    try:
        yield found
    finally:
        handle.remove()


@pytest.mark.parametrize("augment", [True, False])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_bad_pixel_stops_before_anything_moves_and_names_its_study(value, augment):
    net, kept = tiny.network("test_resnet"), {}
    error = stopped(net, spoilt(tiny.studies(), 2, value), kept, batch_size=99, augment=augment)
    assert (error.what, error.head, error.step, error.studies) == ("the pixels", None, 1, ("s0-2",))
    assert not tiny.differing(tiny.state(net), tiny.state(tiny.network("test_resnet")))
    assert kept == {}


@pytest.mark.parametrize("bad", [spoilt, unmeasured])
@pytest.mark.parametrize("encoder", ["test_resnet", "test_convnext"])
def test_what_is_left_is_the_state_after_the_last_good_step(encoder, bad):
    """Running statistics included, which a forward pass already moves (test_resnet has them)."""
    net, kept = tiny.network(encoder), {}
    order = torch.randperm(6, generator=tiny.seeds()).tolist()
    with snapshots(net) as after:
        error = stopped(net, bad(tiny.studies(), order[5]), kept, batch_size=2, epochs=1, augment=False)
    assert error.step == 3
    assert len(after) == 2
    assert not tiny.differing(tiny.state(net), after[-1])
    assert tiny.differing(after[0], after[1])
    assert {float(v) for name, v in kept.items() if name.endswith("/step")} == {2.0}


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize(("head", "layer"), LAST.items())
def test_a_loss_that_is_not_finite_names_its_head_and_the_batch(head, layer, value):
    net = tiny.network("test_resnet")
    with torch.no_grad():
        net.get_parameter(f"heads.{head}.{layer}").fill_(value)
    before = tiny.state(net)
    error = stopped(net, tiny.studies(3), batch_size=99)
    assert (error.what, error.head, error.step) == ("the loss", head, 1)
    assert sorted(error.studies) == ["s0-0", "s0-1", "s0-2"]
    assert all(torch.equal(v, before[n]) or v.isnan().all() for n, v in tiny.state(net).items())


@pytest.mark.parametrize(("weight", "head"), [(3.3e38, "malignancy"), (1e30, None)])
def test_a_gradient_that_is_not_finite_stops_too(weight, head):
    """Losses are finite, and so is each gradient with 1e30: but not their norm, nor what would be clipped by it."""
    heads = [replace(h, weight=weight) if h.name == "malignancy" else h for h in tiny.HEADS]
    net = build(tiny.architecture(heads=heads))
    with torch.no_grad():
        net.get_parameter("heads.malignancy.predictor.bias").fill_(5)
    before = tiny.state(net)
    error = stopped(net, tiny.studies(), batch_size=99, augment=False)
    assert (error.what, error.head) == ("the gradient", head)
    assert not tiny.differing(tiny.state(net), before)


def test_it_clips_as_torch_does():
    nets = [tiny.network() for _ in range(2)]
    for net in nets:
        for number, parameter in enumerate(net.parameters()):
            parameter.grad = torch.full_like(parameter, 0.1 * number)
    losses = finite.Guard(nets[0]).clip({"a": torch.tensor(2.5), "b": torch.tensor(0.25)}, 0.5, ())
    torch.nn.utils.clip_grad_norm_(nets[1].parameters(), 0.5)
    assert losses == {"a": 2.5, "b": 0.25}
    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_the_fisher_information_and_predictions_refuse_them_too():
    net = tiny.network()
    with pytest.raises(NotFinite) as error:
        fisher.precision(net, unmeasured(tiny.studies(), 1), tiny.training(fisher_labels="given"), tiny.seeds())
    assert (error.value.what, error.value.head, error.value.step) == ("the loss", "lesion_width", None)
    assert "s0-1" in error.value.studies
    with torch.no_grad():
        net.get_parameter("heads.lesion_width.predictor.bias").fill_(torch.nan)
    with pytest.raises(NotFinite, match="the loss of head 'lesion_width': expected finite numbers"):
        fisher.precision(net, tiny.studies(), tiny.training(fisher_labels="drawn"), tiny.seeds())
    with pytest.raises(NotFinite, match="the pixels: expected finite numbers"):
        observe(net, spoilt(tiny.studies(), 1))


def test_the_message_says_head_and_step_and_no_study():
    error = stopped(tiny.network(), unmeasured(tiny.studies(), 3), batch_size=99)
    assert str(error) == "the loss of head 'lesion_width' at step 1: expected finite numbers, got NaN or infinity"
    assert not [name for name in error.studies if name in repr(error) + "".join(traceback.format_exception(error))]
