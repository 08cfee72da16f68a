"""Facts about gates that are no events of their run: what people are shown, and that they were reminded.

That a step waits, how it was voted on and how its gate was answered are events of its run (`core/events.py`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from partita.core.facts.fact import FactBase


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """One piece of the material to decide on; `data` is packed plain data of its kind.

    `of` names where it comes from: the argument of the gate, or the step whose metadata it is.
    """

    name: str
    kind: Literal["number", "text", "markdown", "table", "path", "url", "json"]
    data: bytes
    of: str = ""


class GateShown(FactBase, frozen=True, array_like=True, tag="gate_shown"):
    """A gate has opened: its material, the SHA-256 of its token, when its first reminder is due."""

    run: str
    step: str
    index: str
    material: tuple[Shown, ...] = ()
    token: bytes | None = None
    remind_at: float | None = None


class GateReminded(FactBase, frozen=True, array_like=True, tag="gate_reminded"):
    """Those who are to answer are to be reminded; `count` = how often by now."""

    run: str
    step: str
    index: str
    count: int
    next_at: float | None = None
    # What is asked, and of whom, for the message.
    text: str = ""
    by: tuple[str, ...] = ()


GateFact = GateShown | GateReminded
