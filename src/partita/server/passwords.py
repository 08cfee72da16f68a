"""Passwords: Argon2id, with what it takes to check one beside its hash.

Rule: a hash says its own cost, so that a costlier one can be asked for later. Checking takes the same time whether there
is such a user or not.
"""

from __future__ import annotations

import base64
import hmac
import os
import re

from partita.errors import DefinitionError

# RFC 9106 and OWASP: 19 MiB, two passes, one lane: about 50 ms.
_MEMORY_KIB, _PASSES, _LANES, _BYTES = 19_456, 2, 1, 32
LEAST = 10
MOST = 1_000
_HASH = re.compile(r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")


def hash_password(password: str) -> str:
    """The hash of a password. Raises `DefinitionError` if it is too short to be one."""
    if len(password) < LEAST:
        raise DefinitionError(f"a password has {LEAST} characters or more", hint="a few words make a good one")
    if len(password) > MOST:
        raise DefinitionError(f"a password has {MOST} characters at most")
    salt = os.urandom(16)
    made = _argon2id(password, salt, _MEMORY_KIB, _PASSES, _LANES, _BYTES)
    return f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}${_b64(salt)}${_b64(made)}"


def verify(password: str, stored: str) -> bool:
    """Whether this is the password of a hash. Without a hash it takes as long, and is not."""
    found = _HASH.fullmatch(stored) or _HASH.fullmatch(_NOBODYS)
    assert found is not None
    memory, passes, lanes = (int(found[n]) for n in (1, 2, 3))
    salt, expected = _unb64(found[4]), _unb64(found[5])
    made = _argon2id(password[:MOST], salt, memory, passes, lanes, len(expected))
    return hmac.compare_digest(made, expected) and stored != "" and found.string == stored


def _argon2id(password: str, salt: bytes, memory_kib: int, passes: int, lanes: int, size: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    kdf = Argon2id(salt=salt, length=size, iterations=passes, lanes=lanes, memory_cost=memory_kib)
    return kdf.derive(password.encode("utf-8", "surrogatepass"))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


# As costly as anybody's, and nobody's.
_NOBODYS = f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}${_b64(bytes(16))}${_b64(bytes(_BYTES))}"
