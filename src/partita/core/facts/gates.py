"""Facts about gates that are no events of their run: reminders, and votes that do not decide yet.

That a step waits and how its gate was answered are events of its run (`core/events.py`).
"""

from __future__ import annotations

from partita.core.facts.fact import FactBase


class GateVoted(FactBase, frozen=True, array_like=True, tag="gate_voted"):
    """One person's answer to a gate; when it decides, the run's `GateAnswered` is in the same commit."""

    run: str
    step: str
    index: str
    by: str
    choice: str
    comment: str = ""
    answer: bytes | None = None


class GateReminded(FactBase, frozen=True, array_like=True, tag="gate_reminded"):
    """Those who are to answer were reminded; `count` = how often by now."""

    run: str
    step: str
    index: str
    count: int
    next_at: float | None = None


class GateHeartbeat(FactBase, frozen=True, array_like=True, tag="gate_heartbeat"):
    """The other system that a gate waits for says that it is alive."""

    run: str
    step: str
    index: str
    message: str = ""


GateFact = GateVoted | GateReminded | GateHeartbeat
