"""The floor of a class: what lies where is seen, what is unlabelled is not."""

from dataclasses import replace

import numpy as np

from benchmarks.thumbnail import auroc
from tests.tiny import CLASSIFICATION, studies

HEAD = CLASSIFICATION.name


def saying(found, says):
    """Studies that say `says(number)` of the class."""
    return [replace(s, values={**s.values, HEAD: np.array([says(n), 0.0])}) for n, s in enumerate(found)]


def test_it_sees_where_something_lies_and_nothing_else():
    train, test = studies(80, seed=0), studies(80, seed=1)
    assert auroc(HEAD, train, test) > 0.95, "a lesion on the left"
    assert auroc(HEAD, *(saying(found, lambda n: n // 4 % 2) for found in (train, test))) < 0.7, "what no image shows"


def test_studies_without_the_label_do_not_count():
    train, test = studies(80, seed=0), studies(40, seed=1)
    unknown = studies(40, seed=2, labelled={h: [False, False] for h in train[0].labelled})
    wrong = saying(unknown, lambda n: (n + 1) % 2)
    assert auroc(HEAD, [*train, *wrong], [*test, *wrong]) == auroc(HEAD, train, test)
