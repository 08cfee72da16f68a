"""The functions of steps that the compiler adds itself.

Rule: they pass values on, nothing else.
"""

from __future__ import annotations

from typing import Any


def same(value: Any = None) -> Any:
    """The value itself: makes a step's result of an element, a part of a result, a parameter or a constant."""
    return value
