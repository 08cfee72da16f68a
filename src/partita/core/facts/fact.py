"""The base of all facts."""

from __future__ import annotations

import msgspec


class FactBase(msgspec.Struct, frozen=True, array_like=True, tag_field="kind"):
    """Something that happened at an instant."""

    at: float
