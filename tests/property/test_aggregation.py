"""Laws of aggregation, against formulas written down a second time in plain numpy."""

from dataclasses import replace

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import assume, settings
from hypothesis import strategies as st

from mtmed.aggregation.incoming import Gate
from mtmed.aggregation.strategy import NAMED
from mtmed.aggregation.strategy import strategy as named
from mtmed.types import GlobalModel, SiteUpdate

SHAPES = {
    "encoder.weight": (2, 3),
    "encoder.running_mean": (3,),  # a buffer: it has no precision
    "heads.masks.weight": (2, 2),
    "heads.masks.bias": (2,),
    "heads.finding.weight": (4,),
}
HEADS = ("masks", "finding")
KINDS = {"masks": "segmentation", "finding": "classification"}


def strategy(name, **options):
    return named(name, options)


BAYES, LABELS, FEDAVG = strategy("bayes"), strategy("label_aware"), strategy("fedavg")
WEIGHTED = ("bayes", "fedavg", "fisher", "label_aware", "masks_only")
BLIND_TO_LABELS = (
    "fedavg",
    "fedadam",
    "fedavgm",
    "fedbn",
    "fedexp",
    "fedprox",
    "scaffold",
)  # they count examples, whatever is labelled
every = pytest.mark.parametrize("strategy", [strategy(n) for n in NAMED], ids=list(NAMED))
AWARE = [n for n in NAMED if n not in BLIND_TO_LABELS]
by_labels = pytest.mark.parametrize("strategy", [strategy(n) for n in AWARE], ids=AWARE)
sharing = pytest.mark.parametrize("strategy", [*map(strategy, WEIGHTED), strategy("bayes", alpha=0, a=1, b=1)])
robust = pytest.mark.parametrize("strategy", [strategy("median"), strategy("trimmed_mean")])


OPEN = Gate(1e9, 1e9)  # laws are about what is merged, however far out it is
count = st.integers(0, 30)


def given(*arguments):
    """Few examples with many numbers each: numbers come from one drawn seed, which is fast."""
    return lambda law: settings(max_examples=30)(hypothesis.given(*arguments)(law))


def tensors(rng, chosen=tuple(SHAPES)):
    """Numbers from -4 to 4, some of them exactly 0."""
    values = {n: rng.uniform(-4, 4, SHAPES[n]) * (rng.random(SHAPES[n]) > 0.1) for n in chosen}
    return {n: torch.from_numpy(v.astype(np.float32)) for n, v in values.items()}


def precisions(rng, zeros, chosen=tuple(SHAPES)):
    """Numbers over some orders of magnitude; a tensor may be zero in parts or whole."""
    scale = {n: 10.0 ** rng.integers(-2, 3) * (rng.random() >= zeros / 3) for n in chosen}
    values = {n: scale[n] * rng.uniform(0.1, 8, SHAPES[n]) * (rng.random(SHAPES[n]) >= zeros) for n in chosen}
    return {n: torch.from_numpy(v.astype(np.float32)) for n, v in values.items()}


def part(name):
    return name.split(".")[1] if name.startswith("heads") else "encoder"


def reached(name, labelled):
    """Whether a precision exists: of the encoder if anything is labelled, of a head if it is labelled."""
    has = any(labelled.values()) if part(name) == "encoder" else labelled[part(name)] > 0
    return has and "running" not in name


@st.composite
def rounds(draw, least=1, zeros=0.3):
    sites = draw(st.lists(st.sampled_from("abcdef"), min_size=least, max_size=4, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    model = GlobalModel(3, tensors(rng), precisions(rng, 0), {"run": "x"})
    return model, [
        update(site, rng, dict(zip(HEADS, draw(st.tuples(count, count)), strict=True)), zeros) for site in sites
    ]


def update(site, rng, labelled, zeros):
    precision = precisions(rng, zeros, [n for n in SHAPES if reached(n, labelled)])
    examples = max(*labelled.values(), 1) + int(rng.integers(0, 30))
    return SiteUpdate(site, 3, tensors(rng), precision, labelled, examples)


def close(a, b, **tolerance):
    torch.testing.assert_close(a, b, **({"rtol": 1e-5, "atol": 1e-6} | tolerance))


def numpy_pull(mean, updates, name, weights):
    start = mean.numpy().astype(float)
    weights = [np.broadcast_to(np.asarray(w, float), start.shape) for w in weights]
    whole = sum(weights)
    pulled = sum(w * (u.mean[name].numpy() - start) for w, u in zip(weights, updates, strict=True))
    return torch.from_numpy(start + np.divide(pulled, whole, out=np.zeros_like(start), where=whole > 0)).float()


def with_shares(strategy, model, updates):
    merged = strategy.aggregate(model, updates, KINDS, gate=OPEN)
    return merged.model, merged.shares


def next_model(strategy, model, updates):
    return with_shares(strategy, model, updates)[0]


def expect_pull(strategy, model, updates, weights):
    result = next_model(strategy, model, updates)
    for name, mean in model.mean.items():
        close(result.mean[name], numpy_pull(mean, updates, name, weights(name)))


def reach(u, name):
    return u.examples if part(name) == "encoder" else u.labelled[part(name)]


@every
@given(rounds(least=2), st.randoms(use_true_random=False))
def test_the_order_of_sites_does_not_change_a_bit(strategy, given_round, random):
    model, updates = given_round
    other = random.sample(updates, len(updates))
    (one, shares), (two, same) = with_shares(strategy, model, updates), with_shares(strategy, model, other)
    for name in SHAPES:
        assert torch.equal(one.mean[name], two.mean[name])
    assert one.precision.keys() == two.precision.keys()
    assert all(torch.equal(one.precision[n], two.precision[n]) for n in one.precision)
    assert shares == same


@by_labels
@given(rounds(), st.sampled_from(HEADS))
def test_a_site_without_a_head_leaves_it_untouched(strategy, given_round, head):
    model, updates = given_round
    mute = {n: p for n, p in updates[0].precision.items() if part(n) != head}
    blind = replace(updates[0], labelled=updates[0].labelled | {head: 0}, precision=mute)
    noise = {n: blind.mean[n] + 1 for n in SHAPES if part(n) == head}
    before = next_model(strategy, model, [blind, *updates[1:]])
    after = next_model(strategy, model, [replace(blind, mean=blind.mean | noise), *updates[1:]])
    for name in noise:
        assert torch.equal(before.mean[name], after.mean[name])


@by_labels
@given(rounds(), st.sampled_from(HEADS))
def test_a_head_that_nobody_labels_stays_as_it_is(strategy, given_round, head):
    model, updates = given_round
    blind = [
        replace(
            u,
            labelled=u.labelled | {head: 0},
            precision={n: p for n, p in u.precision.items() if part(n) != head},
        )
        for u in updates
    ]
    result, shares = with_shares(strategy, model, blind)
    for name in SHAPES:
        if part(name) == head:
            assert torch.equal(result.mean[name], model.mean[name])
            assert name not in result.precision
    assert head not in shares


@given(rounds())
def test_a_forged_precision_without_labels_has_no_pull(given_round):
    model, updates = given_round
    honest = [replace(updates[0], labelled=dict.fromkeys(HEADS, 5)), *updates[1:]]
    blind = replace(updates[0], site="z", labelled=dict.fromkeys(HEADS, 0), precision={})
    forged = replace(blind, precision={n: torch.full(s, 1e6) for n, s in SHAPES.items() if part(n) in HEADS})
    one = next_model(BAYES, model, [*honest, blind])
    two = next_model(BAYES, model, [*honest, forged])
    assert all(torch.equal(one.mean[n], two.mean[n]) for n in SHAPES if part(n) in HEADS)


@sharing
@given(rounds(zeros=0))
def test_one_site_alone_is_the_result(strategy, given_round):
    model, updates = given_round
    mean = next_model(strategy, model, updates[:1]).mean
    for name in SHAPES:
        if reach(updates[0], name) or strategy == FEDAVG:
            close(mean[name], updates[0].mean[name], rtol=1e-6, atol=2e-6)


@sharing
@given(rounds(least=2, zeros=0))
def test_identical_updates_aggregate_to_themselves(strategy, given_round):
    model, updates = given_round
    same = [replace(u, mean=updates[0].mean, labelled=dict.fromkeys(HEADS, 3)) for u in updates]
    for name, mean in next_model(strategy, model, same).mean.items():
        close(mean, updates[0].mean[name], rtol=1e-6, atol=2e-6)


@given(rounds())
def test_local_shares_nothing(given_round):
    model, updates = given_round
    result, shares = with_shares(named("local", {}), model, updates)
    assert all(torch.equal(result.mean[n], model.mean[n]) for n in SHAPES)
    assert result.round == 4
    assert shares == {}


@given(rounds())
def test_fedavg_by_numpy(given_round):
    model, updates = given_round
    expect_pull(FEDAVG, model, updates, lambda _: [u.examples for u in updates])


@given(rounds())
def test_label_aware_by_numpy(given_round):
    model, updates = given_round
    expect_pull(LABELS, model, updates, lambda name: [reach(u, name) for u in updates])


def precision_of(u, name):
    return u.precision[name].numpy().astype(float) if name in u.precision else np.zeros(SHAPES[name])


def opinion_pool(updates, name, alpha, a, b):
    """The weights of docs/method.md: by element, or by counts where nobody has a precision."""
    precisions = [precision_of(u, name) for u in updates]
    total = sum(p.mean() for p in precisions)
    counts = [reach(u, name) for u in updates]
    if total == 0:
        return counts
    q = [(p.mean() / total) ** a * (p / p.mean()) ** b if p.mean() else np.zeros_like(p) for p in precisions]
    lam = alpha * sum(x.mean() for x in q) / sum(counts)
    return [x + lam * n for x, n in zip(q, counts, strict=True)]


@given(rounds(), st.sampled_from([0, 0.1, 3.0]), st.sampled_from([0, 0.5, 1, 2]), st.sampled_from([0.5, 1, 2]))
def test_bayes_by_numpy(given_round, alpha, a, b):
    model, updates = given_round
    strategy = named("bayes", {"alpha": alpha, "a": a, "b": b})
    expect_pull(strategy, model, updates, lambda name: opinion_pool(updates, name, alpha, a, b))


@given(rounds())
def test_without_tempering_bayes_is_the_product_of_the_factors(given_round):
    model, updates = given_round
    result = next_model(named("bayes", {"alpha": 0, "a": 1, "b": 1}), model, updates)
    for name in SHAPES:
        if "running" not in name:
            weights = [precision_of(u, name) for u in updates]
            counts = [reach(u, name) for u in updates]
            expected = numpy_pull(model.mean[name], updates, name, weights if sum(map(np.sum, weights)) else counts)
            close(result.mean[name], expected)


@given(rounds())
def test_without_b_bayes_weighs_whole_tensors(given_round):
    model, updates = given_round

    def weights(name):
        means = [precision_of(u, name).mean() for u in updates]
        total = sum(means)
        return [m / total for m in means] if total else [reach(u, name) for u in updates]

    expect_pull(named("bayes", {"alpha": 0, "a": 1, "b": 0}), model, updates, weights)


@given(rounds())
def test_with_a_huge_alpha_bayes_counts_labels(given_round):
    model, updates = given_round
    expected = next_model(LABELS, model, updates).mean
    for name, mean in next_model(named("bayes", {"alpha": 1e9}), model, updates).mean.items():
        close(mean, expected[name])


@given(rounds(least=2, zeros=0), st.floats(1.5, 100), st.sampled_from([0.5, 1.0, 2.0]))
def test_a_more_confident_site_pulls_harder(given_round, factor, a):
    model, updates = given_round
    sites = [replace(u, labelled=dict.fromkeys(HEADS, 5)) for u in updates[:2]]
    sites = [replace(u, precision={n: u.precision.get(n, torch.ones(SHAPES[n])) for n in SHAPES}) for u in sites]
    surer = replace(sites[0], precision={n: p * factor for n, p in sites[0].precision.items()})
    strategy = named("bayes", {"a": a})
    before, after = next_model(strategy, model, sites).mean, next_model(strategy, model, [surer, sites[1]]).mean
    whole_far = whole_near = 0.0
    for name in SHAPES:
        wanted = sites[0].mean[name]
        far, near = (before[name] - wanted).abs(), (after[name] - wanted).abs()
        assert (near <= far + 1e-6).all()
        whole_far, whole_near = whole_far + float(far.sum()), whole_near + float(near.sum())
    assert whole_near < whole_far


@every
@given(rounds())
def test_retraining_on_the_same_data_adds_no_confidence(strategy, given_round):
    model, updates = given_round
    once = next_model(strategy, model, updates)
    twice = next_model(strategy, once, [replace(u, round=4) for u in updates])
    assert once.precision.keys() == twice.precision.keys() == {n for u in updates for n in u.precision}
    for name, precision in once.precision.items():
        assert torch.equal(precision, twice.precision[name])
        close(precision, sum(u.precision[name] for u in updates if name in u.precision))


@sharing
@given(rounds(), st.permutations(range(6)))
def test_a_permuted_tensor_gives_the_permuted_result(strategy, given_round, order):
    model, updates = given_round
    name = "encoder.weight"

    def moved(values):
        return {n: v.flatten()[order].reshape(v.shape) if n == name else v for n, v in values.items()}

    shuffled = [replace(u, mean=moved(u.mean), precision=moved(u.precision)) for u in updates]
    expected = moved(next_model(strategy, model, updates).mean)
    result = next_model(strategy, replace(model, mean=moved(model.mean)), shuffled).mean
    for n in SHAPES:
        close(result[n], expected[n])


@sharing
@given(rounds())
def test_contributions_are_shares(strategy, given_round):
    _, shares = with_shares(strategy, *given_round)
    assert "encoder" in shares
    for by_site in shares.values():
        assert by_site.keys() == {u.site for u in given_round[1]}
        assert min(by_site.values()) >= 0
        assert sum(by_site.values()) == pytest.approx(1, abs=1e-5)


@given(rounds())
def test_contributions_of_label_aware_are_the_shares_of_labels(given_round):
    model, updates = given_round
    total = sum(u.labelled["masks"] for u in updates)
    assume(total)
    expected = {u.site: u.labelled["masks"] / total for u in updates}
    assert with_shares(LABELS, model, updates)[1]["masks"] == pytest.approx(expected, abs=1e-5)


@sharing
@given(rounds(least=2))
def test_the_result_lies_among_the_sites_and_the_model(strategy, given_round):
    model, updates = given_round
    for name, mean in next_model(strategy, model, updates).mean.items():
        all_values = torch.stack([model.mean[name], *(u.mean[name] for u in updates)])
        assert (mean >= all_values.amin(0) - 1e-5).all()
        assert (mean <= all_values.amax(0) + 1e-5).all()


@robust
@given(rounds(least=3))
def test_one_site_cannot_pull_a_robust_merge_out_of_the_others(strategy, given_round):
    model, updates = given_round
    everyone = [replace(u, labelled=dict.fromkeys(HEADS, 5)) for u in updates]
    wild = replace(everyone[0], mean={n: v * 1e6 for n, v in everyone[0].mean.items()})
    merged = strategy.aggregate(model, [wild, *everyone[1:]], KINDS, gate=OPEN)
    for name, mean in merged.model.mean.items():
        others = torch.stack([u.mean[name] for u in everyone[1:]])
        assert (mean >= others.amin(0) - 1e-4).all()
        assert (mean <= others.amax(0) + 1e-4).all()
