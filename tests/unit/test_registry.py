"""A module is found by its name; a private one, or none, is not."""

import pytest

from mtmed.errors import UserError, unknown
from mtmed.registry import find, names

PROMISED = {
    "mtmed.heads": ("Decoder", "FORM", "METRICS", "PRIMARY", "metrics", "probabilities"),
    "mtmed.aggregation.merges": ("Merge",),
    "mtmed.aggregation.servers": ("Server",),
    "mtmed.datasets": ("CARD",),
    "mtmed.data.rules": ("Rule", "default"),
}


@pytest.mark.parametrize(
    ("package", "known"),
    [
        ("mtmed.heads", ["classification", "detection", "regression", "segmentation"]),
        ("mtmed.aggregation.merges", ["bayes", "examples", "labels", "nothing"]),
        ("mtmed.aggregation.servers", ["adam", "momentum", "plain"]),
    ],
)
def test_public_modules_are_found(package, known):
    assert set(known) <= set(names(package))
    assert list(names(package)) == sorted(names(package))
    for name in names(package):
        assert find(package, name, "thing").__name__ == f"{package}.{name}"


@pytest.mark.parametrize("package", [*PROMISED])
def test_what_a_package_promises_is_there(package):
    for name in names(package):
        for attribute in PROMISED[package]:
            assert hasattr(find(package, name, "thing"), attribute)


def test_a_reader_says_exams_or_has_studies_and_options_of_its_own():
    for name in names("mtmed.datasets"):
        reader = find("mtmed.datasets", name, "data set")
        assert hasattr(reader, "exams") or (hasattr(reader, "studies") and hasattr(reader, "Options")), name


@pytest.mark.parametrize("name", ["_base", "", "os", "bayes.Merge", "..config", "__init__"])
def test_nothing_else_is_found(name):
    with pytest.raises(UserError, match="unknown merge"):
        find("mtmed.aggregation.merges", name, "merge")


def test_the_nearest_name_is_suggested():
    message = str(unknown("fruit", "aple", ["pear", "apple"]))
    assert message == "unknown fruit 'aple': expected one of apple, pear; did you mean 'apple'?"
    assert str(unknown("fruit", "xyz", ["pear"])) == "unknown fruit 'xyz': expected one of pear"
