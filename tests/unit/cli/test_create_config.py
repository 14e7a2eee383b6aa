"""`create configmap` and `create secret`: against the API, and side by side with stock kubectl."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from minikubelet.cli.main import run
from tests.stock_kubectl import KUBECTL
from tests.stock_words import StockWords, Story

CORE = "/api/v1/namespaces/default"
RECORDED = StockWords(Path(__file__).with_name("words_of_create.json"))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: something of each kind."""
    (tmp_path / "d/sub").mkdir(parents=True)
    (tmp_path / "d/app.conf").write_text("x = 1\n")
    (tmp_path / "d/bin").write_bytes(b"\xff\xfe")
    (tmp_path / "d/link").symlink_to("app.conf")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/bad name").touch()
    (tmp_path / "good.env").write_bytes(
        '\ufeffA=1\n# no\n\nB= two words \n  C=x=y\nD\nNOWHERE\nE="q"\r\n'.encode()
    )
    (tmp_path / "bad.env").write_text("1bad=x\n")
    (tmp_path / "config.json").write_text('{"auths":{}}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("D", "from outside")
    return tmp_path


WORDS = """
configmap c
configmap c --from-literal=b=2 --from-literal=a= --from-literal=x=y=z
configmap c --from-literal=a=b -n foo
configmap c --from-file=d --from-file=k=d/bin
configmap c --from-file=d/app.conf,d/bin
configmap c --from-file=
configmap c --from-file=d/sub
configmap c --from-env-file=good.env
configmap c --append-hash
configmap c --append-hash --from-literal=a=b
configmap c --append-hash --from-file=d/bin
secret generic s
secret generic s --from-literal=a=b --type=Opaque
secret generic s --from-file=d
secret generic s --from-env-file=good.env
secret generic s --append-hash
secret generic s --append-hash --type=x/y --from-literal=a=<&>
secret docker-registry r --docker-username=u --docker-password=p --docker-email=e
secret docker-registry r --docker-username=u --docker-password=p --docker-server=example.com
secret docker-registry r --from-file=config.json
configmap
configmap a b
configmap c --from-literal=ab
configmap c --from-literal==b
configmap c --from-literal=..a=b
configmap c --from-literal=a=b --from-literal=a=c
configmap c --from-file=nowhere
configmap c --from-file=odd
configmap c --from-file=k=d
configmap c --from-file=a=b=c
configmap c --from-file==x
configmap c --from-file=k=
configmap c --from-env-file=bad.env
configmap c --from-env-file=d
configmap c --from-env-file=d/bin
configmap c --from-env-file=nowhere
configmap c --from-env-file=good.env --from-env-file=good.env
configmap c --from-env-file=good.env --from-literal=a=b
secret generic
secret generic s --from-literal=..a=b
secret generic s --from-literal=a=b --from-literal=a=c
secret tls t --cert=d/bin
secret tls t --cert=nowhere --key=nowhere
secret tls t --cert=d/bin --key=d/bin
secret docker-registry r --docker-username=u
"""


@pytest.mark.kubectl
@pytest.mark.parametrize("words", WORDS.strip().splitlines())
def test_the_same_object_or_the_same_mistake_as_kubectl(
    files: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["create", *words.split(), "--dry-run=client", "-o", "yaml"]
    code = run(args)
    told = capsys.readouterr()

    def theirs() -> Story:
        done = subprocess.run([KUBECTL, *args], capture_output=True, text=True, env=os.environ, timeout=60)
        # Before 1.34 it writes this as well.
        out = done.stdout.replace("  creationTimestamp: null\n", "")
        return bool(done.returncode), out, done.stderr

    ours = bool(code), told.out, told.err.replace("minikubelet", "kubectl")
    ours, stock = RECORDED.compare(ours, args, theirs)
    assert ours == stock


def test_a_config_map_and_a_secret_are_made_from_files_and_literals(cli, files: Path) -> None:
    made = cli.ok("create", "configmap", "web", "--from-file=d", "--from-literal=color=blue")
    assert made == "configmap/web created\n"
    found = cli.api.get(f"{CORE}/configmaps/web").json
    assert found["data"] == {"app.conf": "x = 1\n", "color": "blue"}
    assert found["binaryData"] == {"bin": "//4="}
    assert cli.ok("create", "secret", "generic", "db", "--from-file=password=d/bin") == "secret/db created\n"
    found = cli.api.get(f"{CORE}/secrets/db").json
    assert (found["type"], found["data"]) == ("Opaque", {"password": "//4="})


def test_what_exists_is_not_made_again(cli) -> None:
    cli.ok("create", "cm", "web")
    cli.ok("create", "secret", "generic", "web")
    assert cli.fails("create", "cm", "web") == (
        'error: failed to create configmap: configmaps "web" already exists\n'
    )
    assert cli.fails("create", "secret", "generic", "web") == (
        'error: failed to create secret secrets "web" already exists\n'
    )


def test_a_certificate_and_its_key_become_a_secret(cli, tmp_path: Path) -> None:
    cert, key, other = (tmp_path / name for name in ("cert", "key", "other"))
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(
        [*make, "-subj", "/CN=x", "-out", cert, "-keyout", key], check=True, capture_output=True, timeout=60
    )
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", other],
        check=True,
        capture_output=True,
        timeout=60,
    )
    words = ["create", "secret", "tls", "web", f"--cert={cert}"]
    assert "certificate and key do not fit" in cli.fails(*words, f"--key={other}")
    locked = tmp_path / "locked"
    subprocess.run(
        ["openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:word", "-out", locked],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert "it is encrypted" in cli.fails(*words, f"--key={locked}"), "nobody is asked for a password"
    assert cli.ok(*words, f"--key={key}") == "secret/web created\n"
    found = cli.api.get(f"{CORE}/secrets/web").json
    assert found["type"] == "kubernetes.io/tls"
    assert base64.b64decode(found["data"]["tls.key"]) == key.read_bytes()


def test_a_certificate_and_its_key_may_be_pipes_and_the_namespace_may_stand_anywhere(
    cli, tmp_path: Path
) -> None:
    """As in `--key=<(pass show web)`: what can be read only once."""
    pair = tmp_path / "pair"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(
        [*make, "-subj", "/CN=x", "-out", pair, "-keyout", pair], check=True, capture_output=True, timeout=60
    )
    ends = [os.pipe(), os.pipe()]
    for _, writing in ends:
        with os.fdopen(writing, "wb") as file:
            file.write(pair.read_bytes())
    cert, key = (f"/proc/self/fd/{reading}" for reading, _ in ends)
    made = cli.ok("create", "secret", "-n", "kube-public", "tls", "web", f"--cert={cert}", f"--key={key}")
    for reading, _ in ends:
        os.close(reading)
    assert made == "secret/web created\n"
    assert cli.ok("get", "secrets", "-n", "kube-public", "-o", "name") == "secret/web\n"


def test_what_is_no_docker_config_is_not_taken_for_one(cli, files: Path) -> None:
    words = ["create", "secret", "docker-registry", "hub"]
    assert cli.fails(*words, "--from-file=d/app.conf") == (
        'error: failed to create secret Secret "hub" is invalid: data[.dockerconfigjson]: Invalid value: '
        '"<secret contents redacted>": must be a JSON object\n'
    )


def test_a_name_that_can_be_none_is_one_line(cli) -> None:
    assert "File name too long" in cli.fails("create", "cm", "c", f"--from-file={'x' * 300}")


def test_create_without_a_file_or_a_kind_says_so(cli) -> None:
    assert cli.fails("create", code=2).startswith("error: must specify one of -f and -k\n")
