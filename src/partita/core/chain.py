"""The hash chain of the audit: each entry's hash covers the entry and the hash before it.

Rule: one way to make a hash, used by whoever writes an entry and by whoever checks it.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

# The hash before the first entry.
GENESIS: Final = bytes(32)
_encoder = msgspec.msgpack.Encoder()


def link(
    previous: bytes,
    at: float,
    principal: str,
    action: str,
    object: str,
    result: str,
    namespace: str,
    detail: bytes,
    address: str,
) -> bytes:
    """The hash of an entry. Packed, not joined: no two entries have the same bytes."""
    packed = _encoder.encode((previous, at, principal, action, object, result, namespace, detail, address))
    return hashlib.sha256(packed).digest()
