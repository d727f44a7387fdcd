"""Few bits: what comes back, how far it may be off, and what is never lost."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtmed.aggregation import coding
from mtmed.errors import UserError

SHAPES = {"encoder.w": (4, 3, 2), "encoder.b": (7,), "heads.masks.w": (1, 5), "empty": (0,), "one": ()}
seeds = st.integers(0, 2**32 - 1)


def values(seed, spread=1.0):
    rng = np.random.default_rng(seed)
    return {n: torch.from_numpy(np.asarray(rng.normal(0, spread, s), np.float32)) for n, s in SHAPES.items()}


def rows(value):
    return value.flatten(1) if value.ndim > 1 else value.reshape(1, -1)


@settings(max_examples=30)
@given(seeds, st.integers(2, 8), st.floats(1e-6, 1e3))
def test_no_element_is_off_by_more_than_half_a_step_of_its_row(seed, bits, spread):
    base = values(seed)
    wanted = {n: v + values(seed + 1, spread)[n] for n, v in base.items()}
    found = coding.decode(coding.encode(wanted, base, bits), base)
    for name, value in wanted.items():
        off, moved = rows(found[name] - value).abs(), rows(value - base[name]).abs()
        if not moved.numel():
            continue
        step = moved.amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
        assert (off <= 0.51 * step + 1e-6 * rows(value).abs() + 1e-6 * step).all()
        assert found[name].shape == value.shape


@settings(max_examples=20)
@given(seeds)
def test_what_did_not_move_comes_back_to_the_bit(seed):
    base = values(seed)
    for bits in (2, 8, 16):
        found = coding.decode(coding.encode(base, base, bits), base)
        assert all(torch.equal(found[n], base[n]) for n in base)


@settings(max_examples=20)
@given(seeds, st.integers(2, 8), st.floats(0, 1))
def test_zeros_of_a_precision_stay_zeros_and_nothing_else_becomes_one(seed, bits, zeros):
    rng = np.random.default_rng(seed)
    sure = {
        n: v.exp() * torch.from_numpy(np.asarray(rng.random(v.shape) >= zeros)) for n, v in values(seed, 5.0).items()
    }
    found = coding.decode_precision(coding.encode_precision(sure, bits), values(0))
    for name, value in sure.items():
        assert torch.equal(found[name] == 0, value == 0)
        known = value[value > 0].log2()
        if len(known):
            step = (known.max() - known.min()) / (2**bits - 2)
            assert ((found[name][value > 0].log2() - known).abs() <= 0.51 * step + 1e-3).all()


def test_a_precision_that_nobody_sent_is_absent():
    assert coding.decode_precision({}, values(0)) == {}


def test_what_is_rounded_off_is_not_lost_if_it_is_added_to_the_next_message():
    base = {"w": torch.zeros(1, 50)}
    move = torch.linspace(-1, 1, 50)[None] * torch.tensor(0.01)
    move[0, 0] = 1.0
    left, told = torch.zeros_like(move), torch.zeros_like(move)
    for _ in range(200):
        wanted = {"w": move + left}
        found = coding.decode(coding.encode(wanted, base, 4), base)["w"]
        left, told = wanted["w"] - found, told + found
    torch.testing.assert_close(told / 200, move, atol=1e-3, rtol=0)


def test_few_bits_are_few_bytes():
    base, wanted = (
        {"w": torch.zeros(64, 576)},
        {"w": torch.from_numpy(np.random.default_rng(0).normal(0, 1, (64, 576)))},
    )
    sizes = {
        b: sum(t.numel() * t.element_size() for t in coding.encode(wanted, base, b).values()) for b in (2, 4, 8, 16)
    }
    whole = base["w"].numel() * 4
    assert sizes[2] < sizes[4] < sizes[8] < sizes[16] < whole
    assert sizes[8] < 0.25 * whole


def test_codes_of_another_network_and_broken_ones_are_one_line():
    base = values(0)
    coded = coding.encode(values(1), base, 8)
    with pytest.raises(UserError, match="lacks 'other'"):
        coding.decode(coded, {"other": torch.zeros(2)})
    with pytest.raises(UserError, match=r"'encoder\.b' are 8 or more, expected 7"):
        coding.decode({**coded, "encoder.b": coding.encode({"b": torch.ones(9)}, {"b": torch.zeros(9)}, 8)["b"]}, base)
    with pytest.raises(UserError, match=r"'encoder\.b' cannot be read"):
        coding.decode({**coded, "encoder.b": torch.zeros(3, dtype=torch.uint8)}, base)
    with pytest.raises(UserError, match="expected 2 to 8, 16 or 32, got 9"):
        coding.encode(values(1), base, 9)
