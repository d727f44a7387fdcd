"""A user's mistake is one line, on stderr and in Prefect's log; anything else keeps its traceback."""

import errno
import logging
from io import StringIO

import pytest

from flows.mistakes import keep_log_short, one_line
from mtmed.errors import UserError


def test_a_mistake_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as ended, one_line():
        raise UserError("no such\nthing")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: no such thing\n"


def test_what_the_system_refuses_is_one_line_too(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, one_line():
        raise OSError(errno.ENOSPC, "No space left on device", "out/samples")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: out/samples: No space left on device\n"
    with pytest.raises(FileNotFoundError), one_line():
        (tmp_path / "nothing").read_text()


def test_a_defect_is_not_hidden():
    with pytest.raises(ZeroDivisionError), one_line():
        raise ZeroDivisionError


@pytest.mark.parametrize("name", ["prefect.flow_runs", "prefect.task_runs"])
@pytest.mark.parametrize(("error", "traceback"), [(UserError("a mistake"), False), (ZeroDivisionError(), True)])
def test_prefect_logs_a_traceback_only_of_a_defect(monkeypatch, name, error, traceback):
    keep_log_short()
    written, logger = StringIO(), logging.getLogger(name)
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(written)])  # and not those that need a flow run
    monkeypatch.setattr(logger, "propagate", False)
    try:
        raise error
    except type(error):
        logger.exception("Encountered exception during execution: %r", error)
    assert repr(error) in written.getvalue()
    assert ("Traceback" in written.getvalue()) == traceback
