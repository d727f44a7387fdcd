"""A pseudonym says nothing without the key, and the key stays where it is."""

import stat

import pytest

from mtmed.data.identity import keep_names, own_key, pseudonym
from mtmed.errors import UserError


def test_a_pseudonym_depends_on_key_kind_and_name_alone():
    key = bytes(range(32))
    assert pseudonym(key, "study", "a") == pseudonym(key, "study", "a")
    others = {pseudonym(key, "patient", "a"), pseudonym(key, "study", "b"), pseudonym(bytes(32), "study", "a")}
    assert len({pseudonym(key, "study", "a"), *others}) == 4
    assert len(pseudonym(key, "study", "a")) == 16


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    folder = tmp_path / "private" / "elm"
    key = own_key(folder)
    assert own_key(folder) == key
    assert own_key(tmp_path / "private" / "oak") != key
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("text", ["", "secret", "00" * 8])
def test_a_file_that_is_no_key_is_not_replaced(tmp_path, text):
    (tmp_path / "key").write_text(text)
    with pytest.raises(UserError, match="holds no key: expected 64 hexadecimal digits"):
        own_key(tmp_path)
    assert (tmp_path / "key").read_text() == text


def test_names_are_private_too(tmp_path):
    keep_names(tmp_path, [("1", "a.dcm", "2", "DOE^JANE")])
    assert (tmp_path / "names.csv").read_text().splitlines()[1] == "1,a.dcm,2,DOE^JANE"
    assert stat.S_IMODE((tmp_path / "names.csv").stat().st_mode) == 0o600
