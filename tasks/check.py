"""One thing that `mtmed doctor` looks at, and how it was found."""

from collections.abc import Callable
from dataclasses import dataclass

from mtmed.errors import UserError

OK, WARN, FAIL = "ok", "warn", "FAIL"


@dataclass(frozen=True)
class Check:
    """`status` is ok, warn or FAIL; `detail` says what was found, `remedy` what to do about it."""

    status: str
    name: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        line = " ".join(f"{self.name}: {self.detail}{'; ' + self.remedy if self.remedy else ''}".split())
        return f"{self.status:<5} {line}"


def attempt(name: str, find: Callable[[], str], remedy: str = "") -> Check:
    """ok with what `find` returns; FAIL with the `UserError` that it raises."""
    try:
        return Check(OK, name, find())
    except UserError as error:
        return Check(FAIL, name, str(error), remedy)
