"""JSON Web Tokens (RFC 7519) signed with ES256 by a key of this node's own.

The key is made with the first token, mode 0600, and kept: tokens stay good over a restart of the agent. An
elliptic curve, because every pod gets a token: a signature takes a twentieth of a millisecond, with RSA it
would be one. `cryptography` is imported with the first token, not before.

Pure but for the key's file; may be called in any thread.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey

ALGORITHM = "ES256"
TOKEN_LIMIT = 16 << 10  # characters; ours have about a thousand
_HALF = 32  # bytes of each of the two numbers of a signature


class Header(msgspec.Struct):
    """Of a token; what else it says does not matter."""

    alg: str
    kid: str = ""


_read_header = msgspec.json.Decoder(Header).decode  # made here, in one thread: see `v1.wire`


class TokenSigner:
    """Signs, and knows its own signature."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._making = threading.Lock()

    def sign(self, claims: bytes) -> str:
        """The token that carries this JSON."""
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        header = msgspec.json.encode(Header(ALGORITHM, self._key_id))
        text = f"{_base64(header)}.{_base64(claims)}"
        r, s = decode_dss_signature(self._key.sign(text.encode(), _ecdsa()))
        return f"{text}.{_base64(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"

    def read(self, token: str) -> bytes | None:
        """The JSON in a token of ours; None for anything else."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        text, _, signature = token.rpartition(".")
        header, _, claims = text.partition(".")
        try:
            if len(token) > TOKEN_LIMIT:
                return None
            if _read_header(_bytes(header)).alg != ALGORITHM:
                return None
            halves = _bytes(signature)
            if len(halves) != 2 * _HALF:
                return None
            r, s = (int.from_bytes(half, "big") for half in (halves[:_HALF], halves[_HALF:]))
            self._key.public_key().verify(encode_dss_signature(r, s), text.encode(), _ecdsa())
            return _bytes(claims)
        except (InvalidSignature, ValueError, msgspec.MsgspecError):
            return None

    @cached_property
    def _key_id(self) -> str:
        """As the API server: a hash of the public key."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return _base64(hashlib.sha256(public).digest())

    @cached_property
    def _key(self) -> EllipticCurvePrivateKey:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        with self._making:
            if not self._path.exists():
                _make_key(self._path)
            key = load_pem_private_key(self._path.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key


def _make_key(path: Path) -> None:
    """Whole or not at all, and private before there is anything in it."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def _ecdsa() -> ECDSA:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    return ECDSA(SHA256())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """Raises ValueError."""
    try:
        return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
