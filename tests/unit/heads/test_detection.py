"""Boxes: which place answers for which box, perfect outputs, and what is not labelled."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mtmed.heads import detection as module
from mtmed.heads.detection import Decoder, Observation, Outputs, metrics, probabilities
from mtmed.types import Boxes, HeadSpec

SIZE, K = 128, 2
DECODER = Decoder(HeadSpec("h", "detection", ("a", "b"), ("mammography",)), [4, 8], 8)
CENTRES, STRIDES = module._places([SIZE // s for s in module.STRIDES], SIZE, torch.device("cpu"))
NO_BOXES = Boxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))


def boxes(*rows, classes=None):
    return Boxes(torch.tensor(rows, dtype=torch.float32).reshape(-1, 4), torch.tensor(classes or [0] * len(rows)))


ONE = boxes([20, 24, 52, 60])
TWO = boxes([20, 24, 44, 50], [60, 50, 120, 118], classes=[0, 1])


def known(*rows):
    return torch.tensor(rows)


def perfect(*targets, sure=20.0):
    """Outputs that say exactly what is true: the owned places score, their distances are the box's sides."""
    count = len(CENTRES)
    logits, distances = torch.full((len(targets), count, K), -sure), torch.ones(len(targets), count, 4)
    centredness = torch.full((len(targets), count), -sure)
    for i, target in enumerate(targets):
        owner = module._assign(CENTRES, STRIDES, target.xyxy)
        for place in torch.nonzero(owner >= 0).flatten().tolist():
            box = target.xyxy[owner[place]]
            logits[i, place, target.classes[owner[place]]] = sure
            x, y = CENTRES[place]
            sides = torch.stack([x - box[0], y - box[1], box[2] - x, box[3] - y])
            distances[i, place] = sides / STRIDES[place]
            centredness[i, place] = module._centredness(CENTRES[place][None], box[None]).logit(1e-6)
    return Outputs(logits, distances, centredness, CENTRES, STRIDES)


def test_places_cover_the_image():
    assert len(CENTRES) == 16**2 + 8**2 + 4**2
    assert CENTRES[:2].tolist() == [[4, 4], [12, 4]]
    assert CENTRES[-1].tolist() == [112, 112]
    assert STRIDES.unique().tolist() == [8, 16, 32]


def owner_by_rules(x, y, stride, true):
    """The rules, box by box: inside, near the centre, of the level's size, and the smallest of those."""
    best, smallest = -1, np.inf
    for i, (x1, y1, x2, y2) in enumerate(true):
        inside = x1 < x < x2 and y1 < y < y2
        near = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) < 1.5 * stride
        farthest = max(x - x1, y - y1, x2 - x, y2 - y) / stride
        fits = (farthest > 1.5 or stride == 8) and (farthest <= 3 or stride == 32)
        if inside and near and fits and (x2 - x1) * (y2 - y1) < smallest:
            best, smallest = i, (x2 - x1) * (y2 - y1)
    return best


numbers = st.integers(0, SIZE)


@st.composite
def any_box(draw, least=1, most=SIZE):
    width, height = draw(st.integers(least, most)), draw(st.integers(least, most))
    x, y = draw(st.integers(0, SIZE - width)), draw(st.integers(0, SIZE - height))
    return [x, y, x + width, y + height]


@settings(max_examples=30)
@given(st.lists(any_box(), min_size=1, max_size=4))
def test_assignment_follows_the_rules(rows):
    owners = module._assign(CENTRES, STRIDES, torch.tensor(rows, dtype=torch.float32)).tolist()
    places = zip(CENTRES.tolist(), STRIDES.tolist(), strict=True)
    assert owners == [owner_by_rules(x, y, s, rows) for (x, y), s in places]


@settings(max_examples=100)
@given(any_box(least=17, most=SIZE), st.floats(0.5, 1))
def test_no_box_of_usual_shape_is_without_a_place(box, shape):
    x1, y1, x2, _ = box
    y2 = min(SIZE, y1 + max(17.0, (x2 - x1) * shape))
    if y2 - y1 >= (x2 - x1) / 2:
        assert (module._assign(CENTRES, STRIDES, torch.tensor([[x1, y1, x2, y2]])) == 0).any()


def test_the_smaller_of_two_boxes_owns_the_place_they_share():
    large, small = [0.0, 0, 40, 40], [12.0, 12, 30, 30]
    owners = module._assign(CENTRES, STRIDES, torch.tensor([large, small]))
    shared = [i for i, c in enumerate(CENTRES.tolist()) if c == [20, 20]]
    assert [int(owners[i]) for i in shared] == [1]


def test_without_boxes_no_place_is_owned():
    assert (module._assign(CENTRES, STRIDES, NO_BOXES.xyxy) == -1).all()


def test_decoding_gives_the_encoded_boxes_back():
    owner = module._assign(CENTRES, STRIDES, TWO.xyxy)
    decoded = module._decode(perfect(TWO))[0]
    torch.testing.assert_close(decoded[owner >= 0], TWO.xyxy[owner[owner >= 0]])


def test_centredness_is_one_in_the_middle_and_zero_at_the_border():
    box = torch.tensor([[0.0, 0, 10, 20]] * 3)
    values = module._centredness(torch.tensor([[5.0, 10], [0.0, 10], [2.0, 10]]), box)
    torch.testing.assert_close(values, torch.tensor([1.0, 0.0, 0.5]))


def test_perfect_outputs_are_perfect():
    targets = [ONE, TWO, NO_BOXES]
    outputs = perfect(*targets)
    predicted = DECODER.predict(outputs)
    assert [len(p.xyxy) for p in predicted] == [1, 2, 0]
    for p, t in zip(predicted[:2], targets[:2], strict=True):
        order = p.classes.argsort()
        torch.testing.assert_close(p.xyxy[order], t.xyxy)
        assert torch.equal(p.classes[order], t.classes)
    seen = DECODER.observe(predicted, targets, known([True] * K, [True] * K, [True] * K))
    assert metrics(seen) == pytest.approx({"map": 1, "map50": 1, "recall_1fp": 1})


def test_of_several_views_the_best_box_of_a_lesion_stays():
    near, far, other = [10.0, 10, 30, 30], [40.0, 40, 60, 60], [11.0, 10, 31, 30]
    views = [
        Boxes(torch.tensor([other, far]), torch.tensor([0, 0]), torch.tensor([0.5, 0.3])),
        Boxes(torch.tensor([near, near]), torch.tensor([0, 1]), torch.tensor([0.9, 0.2])),
        Boxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0)),
    ]
    best = module.merge(views)
    assert best.xyxy.tolist() == [near, far, near]
    assert best.classes.tolist() == [0, 0, 1]
    assert best.scores.tolist() == pytest.approx([0.9, 0.3, 0.2])


def test_the_loss_falls_towards_perfect_outputs():
    labelled = known([True, True], [True, True])
    values = [DECODER.losses(perfect(ONE, TWO, sure=s), [ONE, TWO], labelled) for s in (-4.0, 0.5, 4.0, 20.0)]
    for worse, better in pairwise(values):
        assert (better < worse).all()
    perfect_centredness = perfect(TWO).centredness[0]
    positive = module._assign(CENTRES, STRIDES, TWO.xyxy) >= 0
    p = perfect_centredness[positive].sigmoid()
    entropy = F.binary_cross_entropy(p, p)  # what is left: a centredness between 0 and 1 has its own entropy
    torch.testing.assert_close(values[-1][1], entropy, atol=1e-5, rtol=0)


def test_a_wrong_box_costs():
    right, wrong = perfect(ONE), perfect(ONE)
    wrong.distances.mul_(2)
    one = known([True, True])
    assert DECODER.losses(wrong, [ONE], one) > DECODER.losses(right, [ONE], one) + 0.3


def random_outputs(count):
    torch.manual_seed(0)
    shape = (count, len(CENTRES))
    raw = torch.randn(*shape, K), torch.rand(*shape, 4) * 3, torch.randn(shape)
    return Outputs(*(x.requires_grad_() for x in raw), CENTRES, STRIDES)


@pytest.mark.parametrize("loss", [DECODER.losses, DECODER.likelihoods])
def test_what_is_not_labelled_adds_exactly_nothing(loss):
    outputs, targets = random_outputs(3), [TWO, TWO, TWO]
    labelled = known([True, False], [True, True], [False, False])
    value = loss(outputs, targets, labelled)
    value.sum().backward()
    assert value[2] == 0
    assert not outputs.logits.grad[0, :, 1].any()
    assert not outputs.logits.grad[2].any()
    assert outputs.logits.grad[1].any(0).all()
    for grad in (outputs.distances.grad, outputs.centredness.grad):
        assert not grad[2].any()
        owner = module._assign(CENTRES, STRIDES, TWO.xyxy)
        assert not grad[0][owner == 1].any(), "a box of an unknown class teaches no place its sides"
        assert grad[0][owner == 0].any()
    without = loss(outputs, [boxes(TWO.xyxy[0].tolist()), TWO, NO_BOXES], labelled)
    assert torch.equal(value, without)


def test_an_image_without_boxes_teaches_that_there_is_nothing():
    outputs = random_outputs(1)
    DECODER.losses(outputs, [NO_BOXES], known([True, True])).sum().backward()
    assert (outputs.logits.grad > 0).all()
    assert outputs.distances.grad is None or not outputs.distances.grad.any()


def test_forward_gives_every_place():
    outputs = DECODER([torch.randn(2, 4, 16, 16), torch.randn(2, 8, 8, 8)], SIZE)
    assert outputs.logits.shape == (2, len(CENTRES), K)
    assert outputs.distances.shape == (2, len(CENTRES), 4)
    assert outputs.centredness.shape == (2, len(CENTRES))
    assert (outputs.distances >= 0).all()
    assert torch.equal(outputs.centres, CENTRES)


def test_places_that_say_nothing_can_still_learn():
    """A ReLU's distances are 0 with no gradient wherever its input is negative: whole runs ended there."""
    decoder = Decoder(DECODER.spec, [4, 8], 8)
    torch.nn.init.constant_(decoder.regressor.bbox_reg.bias, -9.0)
    outputs = decoder([torch.rand(1, c, SIZE // s, SIZE // s) for c, s in ((4, 8), (8, 16))], SIZE)
    decoder.losses(outputs, [ONE], known([True, True])).sum().backward()
    assert (outputs.distances > 0).all()
    assert decoder.regressor.bbox_reg.weight.grad.abs().max() > 0


def test_predictions_are_inside_the_image_sorted_and_few():
    predicted = DECODER.predict(random_outputs(2))
    for p in predicted:
        assert 0 < len(p.xyxy) <= module.KEEP
        assert p.xyxy.min() >= 0
        assert p.xyxy.max() <= SIZE
        assert torch.equal(p.scores, p.scores.sort(descending=True).values)
        assert p.scores.min() > module.SCORE


def scored(target, scores):
    return Boxes(target.xyxy, target.classes, torch.tensor(scores))


def test_unlabelled_images_and_classes_are_not_observed():
    predicted = [scored(TWO, [0.9, 0.8])] * 3
    seen = DECODER.observe(predicted, [TWO] * 3, known([True, False], [False, False], [True, True]))
    assert [o.true.classes.tolist() for o in seen] == [[0], [], [0, 1]]
    assert [o.predicted.scores.tolist() for o in seen] == [pytest.approx(x) for x in ([0.9], [], [0.9, 0.8])]
    wrong = [scored(boxes([0, 0, 9, 9], classes=[1]), [0.99]), *predicted[1:]]
    again = DECODER.observe(wrong, [TWO] * 3, known([True, False], [False, False], [True, True]))
    assert metrics(again)["map50"] == metrics(seen[1:] + again[:1])["map50"]
    assert len(again[0].predicted.xyxy) == 0


def test_metrics_need_a_true_box_and_none_need_a_prediction():
    empty = scored(NO_BOXES, [])
    assert metrics([]) == {}
    assert metrics([Observation(scored(ONE, [0.9]), NO_BOXES)]) == {}
    assert metrics([Observation(empty, ONE)]) == {"map": 0, "map50": 0, "recall_1fp": 0}
    assert probabilities([Observation(empty, ONE)]) is None


def test_map50_by_hand():
    """One hit at 0.9, one miss at 0.8, one lesion never found: precision 1 up to recall one half."""
    far = boxes([0, 0, 9, 9])
    seen = [Observation(scored(ONE, [0.9]), ONE), Observation(scored(far, [0.8]), ONE)]
    assert metrics(seen)["map50"] == pytest.approx(51 / 101, abs=1e-6)  # COCO reads 101 recalls, 0 to .50 here
    assert metrics(seen)["recall_1fp"] == 0.5
