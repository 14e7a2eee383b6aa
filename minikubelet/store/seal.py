"""Secrets at rest: what the store writes for a Secret is unreadable without a key that is kept in another
file.

The standard library has no cipher, but it has two good keyed functions, and from those the textbook
construction follows: a stream cipher (plain text XOR the output of SHAKE-256 over key and a fresh nonce),
then a keyed BLAKE2b over nonce and cipher text, checked before anything is decrypted ("encrypt, then MAC").
Two keys are drawn from the one in the file.

What this protects: backups and copies of the store, its write-ahead log, a reader of the raw disk blocks
SQLite leaves behind. What it does not: somebody who may read the key file too (root on this node), just as
a cluster's EncryptionConfiguration does not.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

NONCE = 16
TAG = 32
KEY = 32


class Seal:
    """Encrypts and authenticates small values with one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY:
            raise ValueError(f"cannot use the seal's key: it has {len(key)} bytes instead of {KEY}")
        self._cipher_key = hashlib.blake2b(key, digest_size=KEY, person=b"cipher").digest()
        self._tag_key = hashlib.blake2b(key, digest_size=KEY, person=b"tag").digest()

    @classmethod
    def load(cls, path: Path) -> Seal:
        """The seal of the key in `path`; a new key is made at the first start."""
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return cls(path.read_bytes())
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(KEY))
            file.flush()
            # A lost key is a lost Secret: unlike the store, the key is forced to the disk.
            os.fsync(file.fileno())
        return cls(path.read_bytes())

    def close(self, plain: bytes) -> bytes:
        """nonce, cipher text, tag."""
        nonce = secrets.token_bytes(NONCE)
        body = nonce + self._stream(nonce, plain)
        return body + self._tag(body)

    def open(self, sealed: bytes) -> bytes:
        """The plain text; ValueError when the key is another one or a byte was changed."""
        body, tag = sealed[:-TAG], sealed[-TAG:]
        if not hmac.compare_digest(self._tag(body), tag):
            raise ValueError("cannot open a sealed value: wrong key or damaged")
        return self._stream(body[:NONCE], body[NONCE:])

    def _tag(self, body: bytes) -> bytes:
        return hashlib.blake2b(body, digest_size=TAG, key=self._tag_key).digest()

    def _stream(self, nonce: bytes, text: bytes) -> bytes:
        stream = hashlib.shake_256(self._cipher_key + nonce).digest(len(text))
        mixed = int.from_bytes(text, "big") ^ int.from_bytes(stream, "big")
        return mixed.to_bytes(len(text), "big")
