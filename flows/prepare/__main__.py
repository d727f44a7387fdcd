"""`python -m flows.prepare phantom SITE` and `python -m flows.prepare site SITE`.

A file of this name is not imported again by the processes that a preparation starts; a module would bring Prefect.
"""

import sys
from collections.abc import Callable
from typing import Any

from flows.command import command
from flows.prepare import phantom, prepare

WORDS: dict[str, Callable[..., Any]] = {"phantom": phantom, "site": prepare}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in WORDS:
        sys.exit("usage: python -m flows.prepare phantom|site SITE [--params params.yaml]")
    command(WORDS[sys.argv.pop(1)])
