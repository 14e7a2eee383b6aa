"""Who may come in over HTTPS, and who is turned away."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import socket
import ssl
import stat
import subprocess
from contextlib import suppress

import pytest

from minikubelet.api import pki as pki_module
from minikubelet.api import server as server_module
from minikubelet.api.pki import PKI
from minikubelet.api.server import split_address
from minikubelet.errors import NodeNotFit
from tests.unit.api.conftest import PODS, Answer, Api, pod


class Client:
    """An HTTPS client that trusts the agent's CA."""

    def __init__(self, api):
        self.pki = PKI(api.paths.etc / "pki")
        self.address = api.server.https.removeprefix("https://")

    def get(self, path, certificate=False, **headers):
        context = ssl.create_default_context(cafile=str(self.pki.ca))
        if certificate:
            context.load_cert_chain(self.pki.admin, self.pki.admin_key)
        connection = http.client.HTTPSConnection(self.address, timeout=10, context=context)
        try:
            connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            return Answer(connection.getresponse())
        finally:
            connection.close()


@pytest.fixture
def client(https):
    return Client(https)


def test_nobody_without_credentials_sees_anything_but_version_and_health(client):
    assert client.get("/version").code == 200
    assert client.get("/healthz").code == 200
    for path in ("/api", "/apis", "/api/v1", PODS, "/minikubelet/v1/images", "/no/such/path", "/openapi/v2"):
        answer = client.get(path)
        assert (answer.code, answer.json["reason"]) == (401, "Unauthorized"), path


def test_a_client_certificate_or_the_token_opens(client):
    assert client.get(PODS, certificate=True).code == 200
    assert client.get(PODS, Authorization=f"Bearer {client.pki.token()}").code == 200
    for wrong in ("Bearer nonsense", "Basic abc", "Bearer", f"Basic {client.pki.token()}"):
        assert client.get(PODS, Authorization=wrong).code == 401, wrong


def test_a_certificate_of_another_group_is_forbidden(client, https, tmp_path):
    other = PKI(client.pki.directory)
    key, request, certificate = tmp_path / "k", tmp_path / "r", tmp_path / "c"
    ask = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=nobodies/CN=eve"]
    subprocess.run([*ask, "-keyout", key, "-out", request], check=True, capture_output=True)
    sign = ["openssl", "x509", "-req", "-in", request, "-CA", other.ca, "-CAkey", other.ca_key, "-days", "1"]
    subprocess.run([*sign, "-out", certificate], check=True, capture_output=True)
    other.admin, other.admin_key = certificate, key
    client.pki = other
    answer = client.get(PODS, certificate=True)
    assert (answer.code, answer.json["reason"]) == (403, "Forbidden")
    assert "eve" in answer.json["message"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:6443", "", "[::", "169.254.169.254"]
)
def test_a_foreign_host_header_is_refused(client, host):
    answer = client.get("/version", certificate=True, Host=host)
    assert answer.code == 400
    assert answer.json["kind"] == "Status"


def test_a_web_page_is_refused(client):
    for origin in ("https://evil.example", "https://[", "null", ""):
        assert client.get("/version", certificate=True, Origin=origin).code == 403, origin
    assert client.get("/version", certificate=True, Origin=f"https://{client.address}").code == 200
    assert client.get("/version", certificate=True, Host="localhost:1").code == 200


def test_everything_secret_is_for_the_owner_only(https):
    for path in [https.paths.kubeconfig, *(https.paths.etc / "pki").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((https.paths.etc / "pki").stat().st_mode) == 0o700
    assert stat.S_IMODE(https.paths.socket.stat().st_mode) == 0o600


def test_another_user_is_refused_at_the_socket_even_if_its_mode_lets_him(api):
    for path in (api.root, api.paths.run):
        path.chmod(0o711)
    api.paths.socket.chmod(0o666)
    program = (
        f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('{api.paths.socket}'); "
        r"s.sendall(b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n'); print(s.recv(65536).decode())"
    )
    done = subprocess.run(
        ["python3", "-c", program], user=65534, group=65534, extra_groups=[], capture_output=True, text=True
    )
    assert "403 Forbidden" in done.stdout, done.stderr


def test_the_kubeconfig_is_complete(https):
    config = json.loads(https.paths.kubeconfig.read_text())
    assert config["clusters"][0]["cluster"]["server"] == https.server.https
    assert config["current-context"] == config["contexts"][0]["name"]


def test_keys_are_kept_over_a_restart(https, root):

    directory = https.paths.etc / "pki"
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    https.close()
    again = Api(root, "127.0.0.1:0")
    https._loop, https._stop, https._thread = again._loop, again._stop, again._thread
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_headers_of_unbearable_size_are_refused(api):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(api.paths.socket))
    with suppress(ConnectionError):  # refused before all of it was sent
        sock.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (200 << 10) + b"\r\n\r\n")
    assert b" 400 " in sock.recv(65536).split(b"\r\n")[0]
    sock.close()


POST = b"POST /api/v1/namespaces/default/configmaps"


@pytest.mark.parametrize(
    ("line", "header"),
    [
        (b"GET /api/v1/pods", b"Authorization: Bearer \xfe"),
        (b"GET /api/v1/pods", b"Impersonate-User: \xfe"),
        (b"GET /api/v1/pods", b"Accept: \xfe"),
        (POST, b"Kubectl-Command: \xfe"),
        (POST, b"User-Agent: \xfe"),
        (POST, b"Content-Type: \xfe"),
        (b"GET /api/v1/pods/\xfe", b"X: x"),
        (b"GET /api/v1/pods/%fe", b"X: x"),
        (b"GET /api/v1/pods?labelSelector=\xfe", b"X: x"),
        (b"GET /api/v1/pods?labelSelector=%fe", b"X: x"),
        (POST + b"?fieldManager=\xfe", b"X: x"),
    ],
)
def test_bytes_that_are_no_text_are_the_clients_fault(api, line, header):
    body = b'{"metadata": {"name": "a"}}'
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(api.paths.socket))
    sock.sendall(
        line + b" HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %d\r\n\r\n" % (header, len(body)) + body
    )
    code = int(sock.recv(65536).split()[1])
    sock.close()
    assert 400 <= code < 500


def test_paths_cannot_leave_their_place(api):
    api.post(PODS, pod("a"))
    for path in (
        f"{PODS}/..%2F..%2Fsecrets",
        "/api/v1/namespaces/../pods",
        "//api/v1/pods",
        f"{PODS}/a/log/../exec",
    ):
        assert api.get(path).code in (400, 404), path


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:6443", ("127.0.0.1", 6443)), ("[::1]:1", ("::1", 1)), (":0", ("127.0.0.1", 0))],
)
def test_addresses_to_listen_on(text, address):
    assert split_address(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "x:99999", "x:-1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(NodeNotFit, match="write HOST:PORT"):
        split_address(text)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"", id="silence"),
        pytest.param(b"GET /version HTTP/1.1\r\nHost: x\r\nX: ", id="half a header"),
    ],
)
def test_a_connection_that_never_finishes_its_header_is_closed(monkeypatch, root, start):
    monkeypatch.setattr(server_module, "IDLE_SECONDS", 0.2)
    api = Api(root, None)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(api.paths.socket))
    with suppress(ConnectionError):  # closed before we said anything, or before that was read
        sock.sendall(start)
        assert sock.recv(65536) in (b"", b"HTTP/1.1 408")
    sock.close()
    api.close()


def test_a_client_that_stays_is_cut_off_when_the_server_closes(root):
    """It does not answer the good-bye of TLS. What would be left open is told by the collector of garbage."""
    api = Api(root, "127.0.0.1:0")
    host, _, port = api.server.https.removeprefix("https://").partition(":")
    context = ssl.create_default_context(cafile=str(api.paths.etc / "pki/ca.crt"))
    with (
        socket.create_connection((host, int(port)), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=host) as sock,
    ):
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in sock.recv(65536)
        api.close()
        gc.collect()


def test_an_agent_that_was_killed_while_it_made_a_certificate_makes_it_at_the_next_start(
    tmp_path, monkeypatch
):
    async def kill(arguments, what):
        if what == "make server.crt":
            raise KeyboardInterrupt
        await must(arguments, what)

    must, keys = pki_module._must, PKI(tmp_path / "pki")
    asyncio.run(keys.prepare(["127.0.0.1"]))
    monkeypatch.setattr(pki_module, "_must", kill)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(keys.prepare(["127.0.0.2"]))
    monkeypatch.setattr(pki_module, "_must", must)
    asyncio.run(keys.prepare(["127.0.0.1"]))
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(keys.server, keys.server_key)
