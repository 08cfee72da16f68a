"""Tokens with which other systems answer gates: who has one may answer that gate, and nothing else.

A token names its gate and is signed with the key of the home folder (256 bits, 0600), so the one of a retried step is the
same, and a copy of the database gives nobody one. Of gates that have opened the store has the token's SHA-256.

Rule: compared in constant time; what cannot be read is told like what is wrong.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

import msgspec

_PREFIX = "ptg_"
_KEY_BYTES = 32
_MAX_TOKEN = 4096


class GateTokens:
    """Makes and reads tokens. Without a file, the key lives as long as the object."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(_KEY_BYTES)

    @staticmethod
    def of_file(path: Path) -> GateTokens:
        """With the key in a file; it is made if there is none."""
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            key = _made(path)
        return GateTokens(key if len(key) == _KEY_BYTES else _made(path))

    def token(self, run: str, step: str, index: str) -> str:
        """The token of a gate.

        >>> tokens = GateTokens(b"k" * 32)
        >>> tokens.gate_of(tokens.token("r1", "job", "3"))
        ('r1', 'job', '3')
        """
        address = msgspec.msgpack.encode((run, step, index))
        return f"{_PREFIX}{_text(address)}.{_text(self._sign(address))}"

    def gate_of(self, token: str) -> tuple[str, str, str] | None:
        """Run, step and index that a token is for; None if it is none of ours."""
        head, _, sign = token.removeprefix(_PREFIX).partition(".")
        if not token.startswith(_PREFIX) or len(token) > _MAX_TOKEN:
            return None
        try:
            address = _bytes(head)
            if not hmac.compare_digest(_bytes(sign), self._sign(address)):
                return None
            return msgspec.msgpack.decode(address, type=tuple[str, str, str])
        except (ValueError, binascii.Error, msgspec.DecodeError):
            return None

    def _sign(self, address: bytes) -> bytes:
        return hmac.digest(self._key, b"partita gate\0" + address, "sha256")


def digest(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _made(path: Path) -> bytes:
    key = secrets.token_bytes(_KEY_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    return key


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
