"""Where a check goes: URLs, ports, hosts and commands, by the kubelet's rules."""

from __future__ import annotations

import pytest

from minikubelet.agent.probes.target import TargetError, expand_command, resolve_host, resolve_port
from minikubelet.agent.probes.url import URL, URLError, probe_url, redirect_url
from minikubelet.go_text import atoi, quoted
from minikubelet.v1 import Container, ContainerPort, EnvVar, EnvVarSource

BASE = URL("http", "10.0.0.5:8080", "/a/b", "q=1")


@pytest.mark.parametrize(
    ("path", "shown", "asked"),
    [
        pytest.param("/healthz", "/healthz", "/healthz", id="plain"),
        pytest.param("healthz", "/healthz", "/healthz", id="without a slash"),
        pytest.param("", "", "/", id="empty"),
        pytest.param("/a?b=c&d=%20", "/a?b=c&d=%20", "/a?b=c&d=%20", id="a query stays"),
        pytest.param("/a#f", "/a#f", "/a", id="a fragment is shown, not sent"),
        pytest.param("/a b", "/a%20b", "/a%20b", id="a blank is escaped"),
        pytest.param("/a%2Fb", "/a%2Fb", "/a%2Fb", id="an escape stays"),
        pytest.param("/ä", "/%C3%A4", "/%C3%A4", id="UTF-8"),
        pytest.param("/%zz?x", "/%25zz%3Fx", "/%25zz%3Fx", id="what cannot be parsed is a path"),
        pytest.param("/a\r\nb", "/a%0D%0Ab", "/a%0D%0Ab", id="control characters"),
        pytest.param("a:b/c", "/a:b/c", "/a:b/c", id="a colon in the first segment is a scheme or a path"),
        pytest.param("http://evil.test/x", "/x", "/x", id="another host loses"),
    ],
)
def test_3_6_http_the_path_is_a_reference(path, shown, asked):
    url = probe_url("HTTP", "10.0.0.5", 8080, path)
    if path == "a:b/c":  # Go takes "a" for a scheme; then it is overwritten
        shown, asked = "/b/c", "/b/c"
    assert str(url) == "http://10.0.0.5:8080" + shown
    assert url.request_uri == asked


def test_3_6_http_an_ipv6_host_has_brackets():
    url = probe_url("https", "fd00::1", 443, "/")
    assert str(url) == "https://[fd00::1]:443/"
    assert (url.hostname, url.port) == ("fd00::1", 443)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param("/x", "http://10.0.0.5:8080/x", id="absolute path"),
        pytest.param("x?y", "http://10.0.0.5:8080/a/x?y", id="relative path"),
        pytest.param("../x", "http://10.0.0.5:8080/x", id="dots"),
        pytest.param("?z", "http://10.0.0.5:8080/a/b?z", id="a query"),
        pytest.param("https://10.0.0.5/x", "https://10.0.0.5/x", id="another scheme"),
        pytest.param("//h/x", "http://h/x", id="another host"),
    ],
)
def test_3_6_http_where_a_redirect_leads(location, expected):
    assert str(redirect_url(BASE, location)) == expected


@pytest.mark.parametrize(
    ("location", "port"), [("https://h/", 443), ("http://h/", 80), ("http://[::1]/", 80)]
)
def test_3_6_http_the_default_port_is_the_scheme_s(location, port):
    assert redirect_url(BASE, location).port == port


@pytest.mark.parametrize("location", ["/a\x01", "http://[::1", "http://h:port/", ":x", "/%2"])
def test_3_6_http_a_location_that_is_no_url_is_refused(location):
    with pytest.raises(URLError, match="failed to parse Location header"):
        redirect_url(BASE, location)


CONTAINER = Container(
    name="c",
    ports=[ContainerPort(name="web", container_port=8080)],
    env=[
        EnvVar(name="A", value="1"),
        EnvVar(name="B", value_from=EnvVarSource()),
        EnvVar(name="C", value="$(A)"),
    ],
)


@pytest.mark.parametrize(
    ("port", "expected"), [(80, 80), ("web", 8080), ("81", 81), ("+82", 82)], ids=lambda value: repr(value)
)
def test_3_6_ports(port, expected):
    assert resolve_port(port, CONTAINER) == expected


@pytest.mark.parametrize(
    ("port", "text"),
    [
        (0, "invalid port number: 0"),
        (None, "invalid port number: 0"),
        (70000, "invalid port number: 70000"),
        ("-1", "invalid port number: -1"),
        ("x", 'strconv.Atoi: parsing "x": invalid syntax'),
        ("", 'strconv.Atoi: parsing "": invalid syntax'),
    ],
)
def test_3_6_ports_that_lead_nowhere(port, text):
    with pytest.raises(TargetError) as caught:
        resolve_port(port, CONTAINER)
    assert str(caught.value) == text


def test_3_1_the_host_is_the_manifest_s_or_the_pod_s():
    assert resolve_host("h", "10.0.0.5") == "h"
    assert resolve_host(None, "10.0.0.5") == "10.0.0.5"
    with pytest.raises(TargetError):
        resolve_host("", "")


def test_3_6_exec_a_command_sees_literal_variables_only():
    command = ["$(A)", "x$(A)y", "$(B)", "$(C)", "$(NONE)", "$$(A)", "$A", "$(", "$"]
    assert expand_command(command, CONTAINER) == ["1", "x1y", "", "$(A)", "$(NONE)", "$(A)", "$A", "$(", "$"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", '"a"'),
        ('"\\', r'"\"\\"'),
        ("\n\t\x01", r'"\n\t\x01"'),
        ("ä€", '"ä€"'),
        (b"\xff\x00", r'"\xff\x00"'),
        ("\u200b", r'"\u200b"'),
    ],
)
def test_quoting_is_go_s(text, expected):
    assert quoted(text) == expected


def test_numbers_are_ascii():
    assert atoi("12") == 12
    with pytest.raises(ValueError, match="invalid syntax"):
        atoi("１２")
