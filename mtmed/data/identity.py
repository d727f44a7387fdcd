"""Pseudonyms: keyed hashes of a site's own names; the key, and the list that leads back, stay at the site."""

import csv
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from mtmed.errors import UserError

DIGITS = 16  # 64 bits: a million names collide with a probability of 3 in 100 million
PUBLIC = b"a synthetic patient has no secret"  # of phantoms, so that everyone prepares the same bytes
KEY, NAMES = "key", "names.csv"


def pseudonym(key: bytes, kind: str, name: str) -> str:
    """16 hex digits that stand for a name: HMAC-SHA256, the same at every call, meaningless without the key.

    Args:
        kind: study or patient; a patient whose study has the same name has another pseudonym.
    """
    return hmac.new(key, f"{kind}/{name}".encode(), "sha256").hexdigest()[:DIGITS]


def own_key(folder: Path) -> bytes:
    """The site's key, made at the first call and kept in `folder`, which only its owner may read.

    Raises:
        UserError: the file holds something else.
    """
    path = folder / KEY
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    text = path.read_text().strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < 32:
        raise UserError(f"{path} holds no key: expected 64 hexadecimal digits; restore it, or delete it for a new one")
    return key


def keep_names(folder: Path, names: Iterable[tuple[str, str, str, str]]) -> None:
    """Write the list that leads back from pseudonyms: (pseudonym, study, patient's pseudonym, patient)."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = folder / f"{NAMES}.part"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("study", "original_study", "patient", "original_patient"))
        writer.writerows(names)
    part.replace(folder / NAMES)
