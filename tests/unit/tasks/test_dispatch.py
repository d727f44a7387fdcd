"""What is tried again when sites run in processes of their own: the server's failures, never the site's."""

import httpx
import pytest
from prefect.states import Failed

from mtmed.errors import UserError
from tasks.dispatch import _server_failed, at_site

REQUEST = httpx.Request("POST", "http://127.0.0.1/api")


def answered(status):
    return httpx.HTTPStatusError("x", request=REQUEST, response=httpx.Response(status, request=REQUEST))


@pytest.mark.parametrize("error", [answered(503), answered(500), httpx.ConnectError("x"), httpx.ReadTimeout("x")])
def test_a_busy_or_absent_server_is_asked_again(error):
    assert _server_failed(at_site, None, Failed(data=error))


@pytest.mark.parametrize(
    "error", [answered(404), answered(401), UserError("the site ended as Crashed"), TimeoutError()]
)
def test_what_a_retry_cannot_mend_is_not_tried_again(error):
    assert not _server_failed(at_site, None, Failed(data=error))
