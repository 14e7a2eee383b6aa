"""The agent's own certificate authority, and the kubeconfig that trusts it.

Keys and certificates are made by the `openssl` program, so that no cryptography library stays in the
agent's memory for the one moment of its first start. Everything lies in `<etc>/pki`, directories 0700,
files 0600. What exists and is not about to expire is kept: a kubeconfig somebody has copied stays good.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from minikubelet.api.access.user import ADMIN_USER, MASTERS
from minikubelet.errors import NodeNotFit

CA_DAYS, LEAF_DAYS = 3650, 365
CLIENT = "extendedKeyUsage=clientAuth\n"
RENEW_SECONDS = 30 * 24 * 3600  # a leaf with less than this left is made anew


class PKI:
    """The files, and how to make them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca, self.ca_key = directory / "ca.crt", directory / "ca.key"
        self.server, self.server_key = directory / "server.crt", directory / "server.key"
        self.admin, self.admin_key = directory / "admin.crt", directory / "admin.key"
        self._token = directory / "token"

    async def prepare(self, names: Sequence[str]) -> None:
        """Make what is missing; `names` are the names and addresses under which the API is reached, beside
        loopback's.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (self.ca.exists() and self.ca_key.exists()):
            await self._make_ca()
        every = list(dict.fromkeys(["127.0.0.1", "localhost", "::1", *names]))
        alternatives = ",".join(f"{'IP' if _is_address(name) else 'DNS'}:{name}" for name in every)
        server = f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth\n"
        if not await self._is_good(self.server, alternatives):
            await self._issue(self.server, self.server_key, "/CN=minikubelet", server)
            _write_private(self.server.with_suffix(".names"), alternatives)
        if not await self._is_good(self.admin):
            await self._issue(self.admin, self.admin_key, _subject(ADMIN_USER, [MASTERS]), CLIENT)

    def token(self) -> str:
        """The bearer token for those who cannot use a certificate (curl, libraries)."""
        if not self._token.exists():
            _write_private(self._token, secrets.token_urlsafe(32))
        return self._token.read_text().strip()

    def kubeconfig(self, server: str) -> str:
        """The admin's."""
        return self._kubeconfig(server, ADMIN_USER, self.admin, self.admin_key)

    async def kubeconfig_of(self, server: str, user: str, groups: Sequence[str], days: int) -> str:
        """Somebody else's, with a certificate made for it. Nothing of it stays here."""
        with tempfile.TemporaryDirectory(dir=self.directory, prefix="user-") as folder:
            certificate, key = Path(folder) / "user.crt", Path(folder) / "user.key"
            await self._issue(certificate, key, _subject(user, groups), CLIENT, days)
            return self._kubeconfig(server, user, certificate, key)

    def _kubeconfig(self, server: str, user: str, certificate: Path, key: Path) -> str:
        """A complete one. It is written as JSON, which is YAML too."""
        name = "minikubelet"
        credentials = {
            "client-certificate-data": _base64(certificate),
            "client-key-data": _base64(key),
        }
        cluster = {"server": server, "certificate-authority-data": _base64(self.ca)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
            "current-context": name,
        }
        return msgspec.json.format(msgspec.json.encode(config), indent=2).decode() + "\n"

    async def _is_good(self, certificate: Path, names: str = "") -> bool:
        """It exists, lasts a while, is of our CA, and carries the names asked for."""
        if not certificate.exists():
            return False
        known = certificate.with_suffix(".names")
        if names and not (known.exists() and known.read_text() == names):
            return False
        lasting = ["x509", "-in", str(certificate), "-noout", "-checkend", str(RENEW_SECONDS)]
        ours = ["verify", "-CAfile", str(self.ca), str(certificate)]
        return (await _openssl(lasting))[0] == 0 and (await _openssl(ours))[0] == 0

    async def _make_ca(self) -> None:
        await self._make_key(self.ca_key)
        arguments = ["req", "-x509", "-new", "-key", str(self.ca_key), "-subj", "/CN=minikubelet-ca"]
        constraints = [
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign",
        ]
        await _must(
            [*arguments, "-days", str(CA_DAYS), "-sha256", *constraints, "-out", str(self.ca)],
            "make the certificate authority",
        )
        self.ca.chmod(0o600)

    async def _issue(
        self, certificate: Path, key: Path, subject: str, extensions: str, days: int = LEAF_DAYS
    ) -> None:
        """A certificate signed by our CA. The old one goes first: the new key would not fit it."""
        certificate.unlink(missing_ok=True)
        await self._make_key(key)
        request, extra = certificate.with_suffix(".csr"), certificate.with_suffix(".ext")
        _write_private(extra, "basicConstraints=CA:FALSE\n" + extensions)
        what = f"make {certificate.name}"
        try:
            await _must(
                ["req", "-new", "-utf8", "-key", str(key), "-subj", subject, "-out", str(request)], what
            )
            sign = ["x509", "-req", "-in", str(request), "-CA", str(self.ca), "-CAkey", str(self.ca_key)]
            lasting = ["-days", str(days), "-sha256", "-set_serial", f"0x{secrets.token_hex(16)}"]
            await _must([*sign, *lasting, "-extfile", str(extra), "-out", str(certificate)], what)
            certificate.chmod(0o600)
        finally:
            request.unlink(missing_ok=True)
            extra.unlink(missing_ok=True)

    async def _make_key(self, key: Path) -> None:
        _write_private(key, "")  # private before there is anything in it
        curve = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
        await _must(curve, f"make {key.name}")


def write_kubeconfig(path: Path, text: str) -> None:
    """Replace the file as a whole, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(path.name + ".new")
    _write_private(new, text)
    new.rename(path)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _subject(user: str, groups: Sequence[str]) -> str:
    """In openssl's words. The names have been looked at: none of its signs are in them."""
    return "".join(f"/O={group}" for group in groups) + f"/CN={user}"


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdecimal()


async def _must(arguments: Sequence[str], what: str) -> None:
    code, text = await _openssl(arguments)
    if code != 0:
        raise NodeNotFit(f"cannot {what}: openssl says: {text}")


async def _openssl(arguments: Sequence[str]) -> tuple[int, str]:
    """Its exit code and what it printed."""
    try:
        process = await asyncio.create_subprocess_exec(
            "openssl",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError:
        raise NodeNotFit("cannot serve HTTPS: no openssl program here: apt install openssl") from None
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace").strip()
