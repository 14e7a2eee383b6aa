"""Secrets at rest: what the store writes for a Secret is unreadable without a key that is kept in another
file.

AES-256 in Galois/counter mode, with a fresh random nonce for each value; what was changed or sealed with
another key does not open. The cipher is imported with the first Secret: an agent without Secrets pays
neither the time nor the 8 MB.

What this protects: backups and copies of the store, its write-ahead log, a reader of the raw disk blocks
SQLite leaves behind. What it does not: somebody who may read the key file too (root on this node), just as
a cluster's EncryptionConfiguration does not.
"""

from __future__ import annotations

import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12
KEY = 32


class Seal:
    """Encrypts and authenticates small values with one key. 2³² of them are safe, at ten a second in 13 years
    (NIST SP 800-38D, random nonces).
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY:
            raise ValueError(f"cannot use the seal's key: it has {len(key)} bytes instead of {KEY}")
        self._key = key

    @classmethod
    def load(cls, path: Path) -> Seal:
        """The seal of the key in `path`; a new key is made at the first start, whole or not at all."""
        if not path.exists():
            new = path.with_name(path.name + ".new")
            new.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
                file.write(secrets.token_bytes(KEY))
                file.flush()
                # A lost key is a lost Secret: unlike the store, the key is forced to the disk.
                os.fsync(file.fileno())
            new.rename(path)
        return cls(path.read_bytes())

    def close(self, plain: bytes) -> bytes:
        """nonce, cipher text with its tag."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, None)

    def open(self, sealed: bytes) -> bytes:
        """The plain text; ValueError when the key is another one or a byte was changed."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], None)
        except (InvalidTag, ValueError) as error:  # ValueError: too short for a nonce
            raise ValueError("cannot open a sealed value: wrong key or damaged") from error

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)
