"""The plan of all runs has every run that a claim is judged by, and nothing that cannot run."""

import pytest

from benchmarks import matrix
from benchmarks.compare import arms, cells
from benchmarks.evidence.claim import Claim
from benchmarks.evidence.claimed import claims
from benchmarks.federate import cells as federated
from benchmarks.federate.one import changes
from mtmed.errors import UserError

MEASURED_ELSEWHERE = {"speed"}  # benchmarks.trainer


def test_what_claims_are_judged_by_is_planned():
    planned = {(part.cell, arm) for part in matrix.PLAN for arm in part.arms}
    planned |= {(cell, "ensemble") for cell, arm in planned if arm == "alone"}  # its rows come with those
    judged = [c for c in claims() if isinstance(c, Claim) and c.experiment not in MEASURED_ELSEWHERE]
    assert {(c.experiment, arm) for c in judged for arm in (c.arm, *c.against)} <= planned


@pytest.mark.parametrize("part", matrix.PLAN, ids=[part.cell for part in matrix.PLAN])
def test_a_planned_run_is_one_that_can_be(part):
    assert len(part.seeds) == len(set(part.seeds)) >= 3
    assert len(part.arms) == len(set(part.arms))
    for arm in part.arms:
        if part.run is matrix.run_model:
            cells.find(part.cell).config(arms.find(arm).changes)
        else:
            federated.find(part.cell).config(changes(arm), part.seeds[0])


def test_cells_are_chosen_by_name_in_the_order_of_the_plan(capsys):
    assert [part.cell for part in matrix.chosen(["fed-labels", "phantom"])] == ["phantom", "fed-labels"]
    with pytest.raises(UserError, match="cell 'fedd' is not planned: expected phantom, fed, real"):
        matrix.chosen(["fedd"])
    matrix.main(only="full", show=True)
    assert capsys.readouterr().out.startswith("full: ")
