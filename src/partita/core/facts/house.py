"""Facts about keeping house."""

from __future__ import annotations

from partita.core.facts.fact import FactBase


class Removed(FactBase, frozen=True, array_like=True, tag="removed"):
    """Retention removed what was out of its window."""

    what: str
    count: int
    bytes: int
    older_than: float
    reason: str = ""


class HealthChanged(FactBase, frozen=True, array_like=True, tag="health_changed"):
    """A part of the service became unwell, or well again (`problem` empty)."""

    part: str
    problem: str


HouseFact = Removed | HealthChanged
