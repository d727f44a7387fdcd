"""Seconds that were covered, against counting them one by one."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.stopwatch import Stopwatch, covered

span = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple)


@given(st.lists(span, max_size=8))
def test_covered_agrees_with_counting(spans):
    assert covered(spans) == sum(any(b <= second < e for b, e in spans) for second in range(30))


@given(st.lists(span, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_order_and_repetition_are_of_no_account(spans, random):
    assert covered(random.sample(spans, len(spans)) + spans[:1]) == covered(iter(spans))


def test_stages_are_timed_also_when_they_fail():
    watch = Stopwatch()
    begin = time.time()
    with watch("train"):
        time.sleep(0.02)
    with pytest.raises(ValueError, match="no"), watch("fisher"):
        raise ValueError("no")
    assert [stage for stage, *_ in watch.spans] == ["train", "fisher"]
    for _, b, e in watch.spans:
        assert begin <= b <= e <= time.time()
    assert watch.spans[0][2] - watch.spans[0][1] >= 0.02
