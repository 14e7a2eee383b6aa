"""Which port of which pod a proxied request is for. (What passes is in tests/e2e/test_proxy.py.)"""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.unit.api.conftest import PODS, pod


@pytest.mark.parametrize("port", ["0", "99999", "9" * 5000, "\u0663", "nope"])
def test_what_is_no_port_is_a_bad_request(api, port):
    api.post(PODS, pod("web"))
    answer = api.get(f"{PODS}/web:{quote(port)}/proxy/")
    assert (answer.code, answer.json["message"]) == (400, f'invalid port "{port}"')
