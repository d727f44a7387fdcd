"""The peer for speed is another project's code, which may not be there."""

import pytest

from benchmarks.fedma import FedMA
from mtmed.errors import UserError


def test_a_folder_that_is_no_checkout_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"expected a checkout of github\.com/IBM/FedMA, with matching/pfnm\.py"):
        FedMA(tmp_path, precision=1.0, gamma=1.0)
