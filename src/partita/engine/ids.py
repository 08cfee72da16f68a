"""Ids of runs: UUIDv7 (RFC 9562, section 5.7), so that they sort by the time of their making."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable

# Where chance comes from; a simulation has its own.
entropy: Callable[[int], bytes] = os.urandom


def new_run_id(now: float) -> str:
    """A fresh id for a run made at `now` (seconds since the epoch).

    >>> new_run_id(0.0)[:15]
    '00000000-0000-7'
    """
    millis = int(now * 1000) & (1 << 48) - 1
    random = int.from_bytes(entropy(10), "big")
    value = millis << 80 | 0x7 << 76 | (random >> 64 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return str(uuid.UUID(int=value))
