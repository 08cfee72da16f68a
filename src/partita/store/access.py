"""Users, tokens, secrets, audit, answered requests: rows, how they are read, and which rows each fact writes.

Rule: functions over a reader (`reader.fetch(name, params)`) that answer with frozen types; the statements are in
`sql/access.sql`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

WRITES: Final[dict[type, Callable[..., Any]]] = {}
