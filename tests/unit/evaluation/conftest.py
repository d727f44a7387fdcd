import pytest
from four_hospitals import make_evaluations, make_report

from mtmed.evaluation.report import Report
from mtmed.types import SiteEvaluation


@pytest.fixture(scope="session")
def evaluations() -> list[SiteEvaluation]:
    return make_evaluations()


@pytest.fixture(scope="session")
def report() -> Report:
    return make_report()
