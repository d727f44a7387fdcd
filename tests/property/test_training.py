"""Laws of a training step."""

from dataclasses import replace
from typing import Literal, get_args, get_origin

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st

from mtmed.specs import TrainingSpec
from mtmed.training import device
from mtmed.training.local import Span, train
from mtmed.training.sampling import order
from tests import tiny

HEADS = [h.name for h in tiny.HEADS]
COUNT, BATCH = 5, 3


def choices():
    """Every value of every option of TrainingSpec that is a choice: a new one is visited by itself."""
    yield {}
    for name, field in TrainingSpec.model_fields.items():
        values = (True, False) if field.annotation is bool else get_args(field.annotation)
        if field.annotation is bool or get_origin(field.annotation) is Literal:
            yield from ({name: value} for value in values if value != field.default)


@st.composite
def labels(draw):
    """For each of BATCH images, which classes of which heads are known; one head of none of them, others of some."""
    absent = draw(st.sampled_from(HEADS))
    known = st.lists(st.booleans(), min_size=2, max_size=2)
    images = draw(st.lists(st.fixed_dictionaries(dict.fromkeys(HEADS, known)), min_size=BATCH, max_size=BATCH))
    images = [{h: k for h, k in image.items() if h != absent or draw(st.booleans())} for image in images]
    return absent, [image | ({absent: [False, False]} if absent in image else {}) for image in images]


def studies_of(images):
    """COUNT studies, of which the first BATCH carry the labels of `images`, and the others every label."""
    studies = tiny.studies(COUNT)
    for number, labelled in enumerate(images):
        known = {h: np.array(k, bool) for h, k in labelled.items()}
        studies[number] = replace(studies[number], labelled=known)
    return studies


def seed_without_others(studies, sampling):
    """A seed whose first batch has none of the others, and the studies that it has; rejects if there is none."""
    for seed in range(2000):
        drawn = order(studies, tiny.HEADS, sampling, tiny.seeds(seed))[:BATCH]
        if max(drawn) < BATCH:
            return seed, [studies[n] for n in drawn]
    return hypothesis.reject()


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("options", list(choices()), ids=str)
@settings(max_examples=8)
@hypothesis.given(labels())
def test_a_batch_without_a_heads_label_leaves_the_head_untouched_and_trains_the_others(options, resumed, drawn):
    """Weights, moments and the count of steps, bit for bit; weight decay and moments of before included."""
    absent, images = drawn
    studies = studies_of(images)
    spec = tiny.training(steps=1, batch_size=BATCH, weight_decay=0.5, **options)
    seed, batch = seed_without_others(studies, spec.sampling)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "_cpu_bfloat16", lambda: True)  # emulated where it is not there
        net, kept = tiny.network(), {}
        if resumed:
            train(net, tiny.studies(COUNT), tiny.training(epochs=1), Span(0, 3), tiny.seeds("before"), kept)
        weights, moments = tiny.state(net), {name: value.clone() for name, value in kept.items()}
        train(net, studies, spec, Span(1, 3), tiny.seeds(seed), kept)
    moved = tiny.differing(weights, tiny.state(net))
    present = {h for h in HEADS if any(s.labelled[h].any() for s in batch if h in s.labelled)}
    assert absent not in present
    assert {name.split(".")[1] for name in moved if name.startswith("heads.")} == present
    learns = bool(present) and not spec.freeze_encoder
    assert any(name.startswith("encoder.") for name in moved) == learns
    for head in set(HEADS) - present:
        own = {name for name in kept.keys() | moments.keys() if name.startswith(f"heads.{head}.")}
        assert not {name for name in own if not torch.equal(kept[name], moments[name])}
        assert bool(own) == resumed
